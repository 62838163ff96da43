"""The real base model's tokenizer and shape, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish_trainer.preflight.base_model import BaseModel, load_base_model


@pytest.fixture(scope="session")
def base(base_model_dir: Path) -> BaseModel:
    return load_base_model(base_model_dir)
