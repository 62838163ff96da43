"""scripts/setup.sh --plan: which builds are chosen, said aloud, overridable, and refused where they would be wrong."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

REPO = Path(__file__).parents[3]


def wheel(folder: Path, version: str) -> None:
    """A wheel of torch without content."""
    with zipfile.ZipFile(folder / f"torch-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(
            f"torch-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
        )
        archive.writestr(
            f"torch-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"torch-{version}.dist-info/RECORD", "")


def command(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def plan(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the plan with an index that has only what stands in tmp_path."""
    env = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    env.pop("BURNISH_DEVICE", None)
    script = str(REPO / "scripts/setup.sh")
    return subprocess.run(
        [script, "--plan"], env=env | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_cpu_host_refuses_the_cuda_build_and_says_how_to_get_the_other(tmp_path: Path) -> None:
    command(tmp_path, "nvidia-smi", "exit 9")
    wheel(tmp_path, "2.13.0")
    done = plan(tmp_path)
    assert done.returncode == 1
    assert "PIP_EXTRA_INDEX_URL" in done.stderr
    assert "BURNISH_DEVICE=cuda" in done.stderr


def test_a_cpu_host_takes_the_cpu_build(tmp_path: Path) -> None:
    command(tmp_path, "nvidia-smi", "exit 9")
    wheel(tmp_path, "2.13.0")
    wheel(tmp_path, "2.13.0+cpu")
    done = plan(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cpu builds (no NVIDIA GPU here" in done.stdout


def test_a_gpu_host_takes_the_cuda_builds_unless_told_otherwise(tmp_path: Path) -> None:
    command(tmp_path, "nvidia-smi", "echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'")
    wheel(tmp_path, "2.13.0+cpu")
    assert "cuda builds (nvidia-smi lists a GPU" in plan(tmp_path).stdout
    assert "cpu builds (BURNISH_DEVICE=cpu)" in plan(tmp_path, BURNISH_DEVICE="cpu").stdout


def test_an_unknown_device_and_a_wrong_python_are_refused(tmp_path: Path) -> None:
    wheel(tmp_path, "2.13.0+cpu")
    assert "use auto, cpu or cuda" in plan(tmp_path, BURNISH_DEVICE="tpu").stderr
    command(tmp_path, "python2.7", "exit 1")
    assert "is not Python 3.11" in plan(tmp_path, BURNISH_PYTHON="python2.7").stderr
