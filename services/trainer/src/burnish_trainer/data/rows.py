"""The training rows of a dataset version, read from the object store and checked against their digests, whatever their format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from burnish.digests import dataset_version
from burnish.errors import CorruptDataError, NotFoundError, validation_problems
from burnish.layout import dataset as dataset_key
from burnish.objectstores.manifests import check_not_erased
from burnish.objectstores.verified import get_verified, require_version
from burnish.ports import ObjectStore
from burnish.schemas.base import Message, VersionRef, message_key
from burnish.schemas.dataset import DatasetFormat, DatasetManifest, DpoRow, KtoRow, SftRow

StoredRow = SftRow | DpoRow | KtoRow
KINDS: dict[DatasetFormat, type[StoredRow]] = {"sft": SftRow, "dpo": DpoRow, "kto": KtoRow}
TRAIN = "train.jsonl"
VALIDATION = "validation.jsonl"


@dataclass(frozen=True)
class Record:
    """One row. answers: its completion, or chosen and rejected of a pair. label: of a KTO row."""

    question_id: str
    source: str
    prompt: tuple[Message, ...]
    answers: tuple[tuple[Message, ...], ...]
    label: bool | None = None

    @cached_property
    def prompt_key(self) -> str:
        """Equal for prompts that the curator takes for the same question: case and white space do not count."""
        return message_key(self.prompt)

    @property
    def learnt(self) -> tuple[Message, ...]:
        """What the row wants the model to say: its completion, or the chosen one."""
        return self.answers[0]

    @property
    def messages(self) -> list[Message]:
        return [*self.prompt, *(message for answer in self.answers for message in answer)]


@dataclass(frozen=True)
class Records:
    """The rows of a dataset version that can be read. unreadable: question id or line -> reason, of those that cannot."""

    train: list[Record]
    validation: list[Record]
    unreadable: dict[str, str]

    @property
    def all(self) -> list[Record]:
        return [*self.train, *self.validation]


def read_manifest(store: ObjectStore, ref: VersionRef) -> DatasetManifest:
    """NotFoundError if the version does not exist, ErasedError if it was erased, CorruptDataError if its manifest cannot be read."""
    key = dataset_key(ref.name, ref.version)
    try:
        return DatasetManifest.model_validate_json(store.get(key))
    except NotFoundError as error:
        check_not_erased(store, key)
        raise _missing(ref) from error
    except ValidationError as error:
        raise CorruptDataError(f"{key} is no dataset manifest: {validation_problems(error)}", key=key) from error


def _missing(ref: VersionRef) -> NotFoundError:
    return NotFoundError(
        f"there is no dataset {ref.name}@{ref.version}: if it was deleted after the job was accepted, build it again (the same spec "
        "gives the same version) and train again",
        field="dataset",
    )


def read_records(store: ObjectStore, ref: VersionRef, manifest: DatasetManifest) -> Records:
    """All rows. manifest: as read from the store. CorruptDataError if a file does not have the digest that it states, or if
    all of it is not the version that was asked for; NotFoundError if it was deleted meanwhile.
    """
    files: dict[str, bytes] = {TRAIN: b"", VALIDATION: b""}
    for entry in manifest.files:
        if entry.path in files:
            try:
                files[entry.path] = get_verified(store, dataset_key(ref.name, ref.version, entry.path), entry)
            except NotFoundError as error:
                check_not_erased(store, dataset_key(ref.name, ref.version))
                raise _missing(ref) from error
    spec, split = (part.model_dump(exclude_unset=True) for part in (manifest.spec, manifest.split))  # as it was written
    found = dataset_version(files[TRAIN], files[VALIDATION], spec, split)
    require_version(f"dataset {ref.name}@{ref.version}", ref.version, found)
    unreadable: dict[str, str] = {}
    kind = KINDS[manifest.spec.format]
    splits = [_parse(data.splitlines(), kind, file, unreadable) for file, data in files.items()]
    return Records(splits[0], splits[1], unreadable)


def require_whole(records: Records, manifest: DatasetManifest) -> None:
    """CorruptDataError if a row cannot be read, or if there are more or fewer than the manifest states."""
    name = f"dataset {manifest.name}/{manifest.version}"
    for question, reason in records.unreadable.items():
        raise CorruptDataError(f"{name}: {question}: {reason}")
    for split, found, stated in (
        ("train", len(records.train), manifest.counts.train),
        ("validation", len(records.validation), manifest.counts.validation),
    ):
        if found != stated:
            raise CorruptDataError(f"{name}: the manifest states {stated} {split} rows and {found} were found")


def record_of(row: StoredRow) -> Record:
    answers = (row.chosen, row.rejected) if isinstance(row, DpoRow) else (row.completion,)
    return Record(
        question_id=row.question_id,
        source=row.source,
        prompt=tuple(row.prompt),
        answers=tuple(tuple(answer) for answer in answers),
        label=row.label if isinstance(row, KtoRow) else None,
    )


def _parse(lines: Sequence[bytes], kind: type[StoredRow], file: str, unreadable: dict[str, str]) -> list[Record]:
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(record_of(kind.model_validate_json(line)))
        except ValidationError as error:
            name = _question_id(line) or f"{file} line {number}"
            unreadable[name] = validation_problems(error, whole="the line", at_most=1)
    return records


def _question_id(line: bytes) -> str | None:
    """Of a line that is no row, if it has one all the same."""
    try:
        body = json.loads(line)
    except ValueError:
        return None
    question_id = body.get("question_id") if isinstance(body, dict) else None
    return question_id if isinstance(question_id, str) and question_id else None
