"""The real base model's tokenizer and shape, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish_trainer.preflight.base import Base, load_base


@pytest.fixture(scope="session")
def base(base_model_dir: Path) -> Base:
    return load_base(base_model_dir)
