"""Runs unsloth_cases.py in a pytest process of its own, in which Unsloth comes before all that it patches: tests/unsloth_first.py."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.model,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(find_spec("unsloth") is None, reason="the unsloth package is not installed"),
]


def test_unsloth_passes_its_cases() -> None:
    cases = Path(__file__).with_name("unsloth_cases.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "unsloth_first", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
