"""The tests of sdk/, a file each, in the environment that has the SDKs: `.venv-hosted/bin/python -m pytest FILE` is the same by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hosted_python import REPOSITORY, find_hosted_python

FILES = sorted((Path(__file__).parent / "sdk").glob("test_*.py"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_real_sdks(file: Path) -> None:
    command = [str(find_hosted_python()), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
