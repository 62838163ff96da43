"""`burnish-model record`: a folder becomes a base model, and what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.digests import model_digest
from burnish.errors import NotFoundError
from burnish.model_record import record
from burnish.schemas.models import read_record


def test_the_record_names_the_digest_of_the_files(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    record(tmp_path, "mine", source="here", licence="MIT")
    read = read_record(tmp_path)
    assert (read.name, read.digest) == ("mine", model_digest(tmp_path))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(NotFoundError, match="safetensors"):
        record(tmp_path, "mine", source="here", licence="MIT")
