"""scripts/base_model.py leaves other people's model folders alone: a good one is taken as it is, a changed one is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from burnish.model_record import record

REPO = Path(__file__).parents[3]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    script = str(REPO / "scripts/base_model.py")
    return subprocess.run(
        [sys.executable, script, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )


def model(folder: Path) -> Path:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    record(folder, "mine", source="here", licence="MIT")
    return folder


def test_a_recorded_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    done = run(model(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "base model mine" in done.stdout


def test_a_folder_that_changed_is_refused_and_kept(tmp_path: Path) -> None:
    (model(tmp_path) / "config.json").write_text('{"changed": true}')
    done = run(tmp_path)
    assert done.returncode == 1
    assert "its files have changed" in done.stderr
    assert "burnish-model record" in done.stderr
    assert (tmp_path / "model.safetensors").read_text() == "{}"
