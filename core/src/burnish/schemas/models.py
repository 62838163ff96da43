"""The record that set-up leaves beside a base model, so that every room names it alike."""

from __future__ import annotations

from pathlib import Path

from burnish.errors import NotFoundError
from burnish.schemas.base import Frozen

RECORD = "burnish-model.json"


class BaseModelRecord(Frozen):
    """<model folder>/burnish-model.json. digest: burnish.digests.model_digest(folder). source: where it came from, with its sha256."""

    name: str
    digest: str
    source: str
    licence: str


def read_record(folder: Path) -> BaseModelRecord:
    """The record of a base model folder; NotFoundError tells how to make one."""
    path = folder / RECORD
    if not path.is_file():
        raise NotFoundError(
            f"{path} is missing: run `make setup`, or `burnish-model record {folder} --name NAME` for a model of your own"
        )
    return BaseModelRecord.model_validate_json(path.read_bytes())
