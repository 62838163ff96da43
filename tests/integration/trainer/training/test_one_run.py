"""tests/gpu/trainer/one_run.py, which the GPU tests compare backends by, on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.model
SCRIPT = Path(__file__).parents[3] / "gpu" / "trainer" / "one_run.py"


def test_a_run_is_told_as_one_line_and_goes_on_after_a_stop(tiny_base: Path, tmp_path: Path) -> None:
    changes = json.dumps({"optimizer": {"max_steps": 4, "evaluation_interval_steps": 2}})
    command = [sys.executable, str(SCRIPT), str(tiny_base), str(tmp_path), "cpu", "sft", "peft", changes, "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["backend"] == "peft"
    assert list(outcome["train_loss"]) == ["1", "2", "3", "4"]
    assert list(outcome["validation_loss"]) == ["2", "4"]
    assert outcome["peak_memory_bytes"] > 0
    assert outcome["shapes"]
