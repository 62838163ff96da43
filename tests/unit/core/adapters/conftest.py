"""A small base model as files."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_making import make_base

from burnish.adapters.base import BaseModel


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    make_base(folder)
    return folder


@pytest.fixture
def base(base_dir: Path) -> BaseModel:
    return BaseModel.open(base_dir)
