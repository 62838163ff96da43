"""The interpreter that has the providers' SDKs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def find_hosted_python() -> Path:
    python = Path(os.environ.get("BURNISH_TRAINER_HOSTED_PYTHON", REPOSITORY / ".venv-hosted/bin/python"))
    if not python.exists():
        pytest.fail(f"no Python with the providers' SDKs at {python}: run `make setup`")
    return python
