"""Estimates against real runs of SmolLM2: the first calibrates, the others, of other batch, length and rank, are foretold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from burnish.schemas.job import JobSpec
from burnish_trainer.preflight.estimate import estimate, scale_of
from burnish_trainer.preflight.machine import read_machine
from burnish_trainer.preflight.types import ModelShape, PastRun, Workload

BENCH = Path(__file__).parents[2] / "bench" / "bench_estimate.py"
ERROR = 0.25

pytestmark = pytest.mark.model


def test_after_one_run_the_others_are_foretold_within_a_quarter(tmp_path: Path) -> None:
    """Time as CPU seconds a core, since neighbours on the machine come and go."""
    kept = tmp_path / "runs.json"
    subprocess.run([sys.executable, str(BENCH), "--only", "sft", "--keep", str(kept)], check=True, capture_output=True)
    first, *others = json.loads(kept.read_text())
    assert len(others) == 3
    machine = read_machine(tmp_path, "cpu")
    model = ModelShape.model_validate(first["model"])
    scale = scale_of([past_run(first)], model, machine)
    for run in others:
        spec, workload = JobSpec.model_validate(run["spec"]), Workload.model_validate(run["workload"])
        said, took = estimate(spec, workload, model, machine, scale), past_run(run).measured
        assert said.seconds == pytest.approx(took.seconds, rel=ERROR), run["what"]
        assert said.peak_memory_bytes == pytest.approx(took.peak_memory_bytes, rel=ERROR), run["what"]


def past_run(run: dict[str, Any]) -> PastRun:
    return PastRun.model_validate({name: run[name] for name in ("spec", "workload", "measured")})
