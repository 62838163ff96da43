"""The record beside a base model, by which every process names it alike, and what was found when it was checked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from burnish.errors import NotFoundError
from burnish.schemas.base import Frozen

RECORD = "burnish-model.json"


class BaseModelRecord(Frozen):
    """<model folder>/burnish-model.json. digest: burnish.digests.model_digest(folder). source: where it came from, with its sha256."""

    name: str
    digest: str
    source: str
    licence: str


class ModelCheck(Frozen):
    """One line of the report on a base model. subject: `chat template`; found: what is there, and if it is not right, what to do."""

    subject: str
    state: Literal["right", "warning", "refused"]
    found: str


class ModelChecks(Frozen):
    """What one of the checking processes prints, as JSON."""

    checks: list[ModelCheck]


def read_record(folder: Path) -> BaseModelRecord:
    """The record of a base model folder; NotFoundError tells how to make one."""
    path = folder / RECORD
    if not path.is_file():
        raise NotFoundError(
            f"{path} is missing: run `make setup`, or `burnish model add {folder}` for a model of your own"
        )
    return BaseModelRecord.model_validate_json(path.read_bytes())
