"""Adds a base model: found or downloaded, checked, recorded, and given its name. Called by `burnish model add`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from burnish.errors import PreconditionError
from burnish.model_files import check_files, licence_of
from burnish.model_record import record
from burnish.schemas.models import RECORD, ModelCheck, read_record
from burnish_client.stack.models import hub, report
from burnish_client.stack.models.shelf import Shelf, ShelvedModel
from burnish_client.stack.settings import StackSettings

UNKNOWN = "unknown"
Check = Callable[[Path, Path], list[ModelCheck]]


class Told(Protocol):
    """Who shows how it goes on."""

    def note(self, message: str) -> None: ...

    def checks(self, checks: Sequence[ModelCheck]) -> None: ...


@dataclass(frozen=True)
class Added:
    model: ShelvedModel
    checks: Sequence[ModelCheck]


def add_folder(
    text: str, settings: StackSettings, name: str | None, licence: str | None, told: Told, check: Check = report.check
) -> Added:
    """PreconditionError if a check refuses it; nothing is written then. check: report.check, or what a test has instead."""
    folder = Path(text).resolve()
    check_files(folder)
    earlier = read_record(folder) if (folder / RECORD).is_file() else None
    name = name or (earlier.name if earlier else _name_of(folder.name))
    shelf = Shelf(settings.home, settings.base_model)
    shelf.check_free(name, folder)
    checks = _checked(folder, settings, told, check)
    told.note("reading the weights for their digest")
    stated = licence or licence_of(folder) or (earlier.licence if earlier else UNKNOWN)
    record(folder, name, source=earlier.source if earlier else str(folder), licence=stated)
    return Added(shelf.link(name, folder), checks)


def add_repository(
    text: str, settings: StackSettings, name: str | None, licence: str | None, told: Told, check: Check = report.check
) -> Added:
    """As add_folder, and what hub.look_up and hub.download raise. A refused model stays among the downloads, and the error says where."""
    repository, revision = hub.parse(text)
    name = name or _name_of(repository.rpartition("/")[2])
    shelf = Shelf(settings.home, settings.base_model)
    folder = shelf.download_folder(name)
    shelf.check_free(name, folder)
    found = hub.look_up(repository, revision)
    told.note(
        f"{found.source}, {found.size_bytes / 1e9:.2f} GB, licence {found.licence or UNKNOWN}: downloading to {folder}"
    )
    hub.download(found, folder)
    try:
        checks = _checked(folder, settings, told, check)
    except PreconditionError as error:
        raise PreconditionError(f"{error.message}. What was downloaded is in {folder}") from error
    stated = licence or found.licence or licence_of(folder) or UNKNOWN
    record(folder, name, source=found.source, licence=stated, afresh=False)
    return Added(shelf.keep(name, folder), checks)


def _checked(folder: Path, settings: StackSettings, told: Told, check: Check) -> list[ModelCheck]:
    told.note("checking it in the environments that train and serve")
    checks = check(folder, settings.inference_python)
    told.checks(checks)
    if refused := report.refused(checks):
        reasons = "; ".join(f"{one.subject}: {one.found}" for one in refused)
        raise PreconditionError(f"{folder} cannot be a base model: {reasons}")
    return checks


def _name_of(text: str) -> str:
    """A name as ours are: lower case, without what stands in none."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:63]
