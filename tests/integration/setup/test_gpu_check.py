"""`make gpu-check` at tiny size on the CPU, from its bundle, on a machine that has torch, numpy, pandas and pyarrow alone."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
THERE = "torch numpy pandas pyarrow python-dateutil sympy mpmath networkx setuptools"  # what such a machine has
TINY = ["--device", "cpu", "--shapes", "tiny"]

pytestmark = [pytest.mark.model, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def bundler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bundle", REPOSITORY / "scripts/gpu_check_bundle.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def link(names: list[str], folder: Path) -> None:
    """The installed packages, as this environment has them, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))))


def checked(command: list[str], environment: dict[str, str], out: Path) -> dict[str, dict[str, Any]]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert out.is_file(), done.stderr[-3000:] + done.stdout[-3000:]
    results = json.loads(out.read_bytes())
    assert done.returncode == 0, results
    return {result["check"]: result for result in results}


def test_every_check_passes_on_a_bare_machine(bundler: ModuleType, base_model_dir: Path, tmp_path: Path) -> None:
    """The bundle's packages are linked here, not fetched; a machine with these and torch's own few has nothing else to import."""
    bundler.sources(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    site = next((tmp_path / "bare/lib").glob("python3*/site-packages"))
    link(THERE.split(), site)
    link([pin.partition("==")[0] for pin in bundler.pins()], tmp_path / "packages")
    pack = ["tar", "-I", "gzip -1", "-chf", str(tmp_path / "packages.tar.gz"), "-C", str(tmp_path / "packages"), "."]
    subprocess.run(pack, check=True)
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(tmp_path / "bare/bin/python"), "HOME": str(tmp_path)}
    found = checked(["sh", str(tmp_path / "run.sh"), *TINY], environment, tmp_path / "gpu-check.json")
    assert set(found) == {"estimate", "sft", "qlora", "dpo", "resume", "unsloth", "lease", "memory"}
    assert found["sft"]["ratio"] > 0
    assert found["dpo"]["first_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert found["resume"]["bit_equal"] is True
    assert found["unsloth"]["skipped"] == "the unsloth package is not installed"
    assert found["lease"]["free_bytes_beside"] < found["lease"]["free_bytes_asleep"]
    assert found["memory"]["message"].startswith("out of memory: the run wanted at least")
    assert 0.3 < found["estimate"]["peak_ratio"] < 3


@pytest.mark.skipif(find_spec("unsloth") is None, reason="the unsloth package is not installed: `make test-unsloth`")
def test_unsloth_beside_peft(base_model_dir: Path, tmp_path: Path) -> None:
    options = [*TINY, "--only", "unsloth", "--tokenizer", str(base_model_dir), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{REPOSITORY / 'tests'}"}
    found = checked([sys.executable, "-m", "gpu_check", *options], environment, tmp_path / "out")
    assert found["unsloth"]["peak_ratio"] > 0


def test_a_check_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """Here: there is no model."""
    options = [*TINY, "--only", "dpo", "--tokenizer", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{REPOSITORY / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-m", "gpu_check", *options], env=environment, capture_output=True, text=True
    )
    (result,) = json.loads((tmp_path / "out").read_bytes())
    assert done.returncode == 1
    assert (result["check"], result["shape"]) == ("model", "tiny")
    assert "No such file" in result["failed"]
    assert done.stdout.endswith("gpu-check: 0 of 1 checks passed or were skipped with a reason; failed: model (tiny)\n")


def test_the_locks_packages_are_taken_as_pinned(bundler: ModuleType) -> None:
    pins = bundler.pins()
    assert len(pins) == len(bundler.PACKAGES)
    assert any(pin.startswith("trl==1.14.2") for pin in pins)
