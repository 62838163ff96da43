"""Dataset rows as preflight sees them, whatever their format; lines that are no rows become findings, not errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import ValidationError

from burnish.curation.targets import message_key
from burnish.ports import ObjectStore
from burnish.schemas.base import Message, VersionRef
from burnish.schemas.dataset import DatasetManifest, DpoRow, KtoRow, SftRow
from burnish.schemas.tuning import Finding
from burnish_trainer.data.rows import TRAIN, VALIDATION, read_lines
from burnish_trainer.preflight.registry import finding

TrainingRow = SftRow | DpoRow | KtoRow
KINDS: dict[str, type[TrainingRow]] = {"sft": SftRow, "dpo": DpoRow, "kto": KtoRow}


@dataclass(frozen=True)
class Record:
    """One row. answers: its completion, or chosen and rejected of a pair. label: of a KTO row."""

    question_id: str
    split: Literal["train", "validation"]
    source: str
    prompt: tuple[Message, ...]
    answers: tuple[tuple[Message, ...], ...]
    label: bool | None = None

    @cached_property
    def prompt_key(self) -> str:
        """Equal for prompts that are the same question, as the curator sees it: case and white space aside."""
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
    train: list[Record]
    validation: list[Record]

    @property
    def all(self) -> list[Record]:
        return [*self.train, *self.validation]


def of_rows(train: Sequence[TrainingRow], validation: Sequence[TrainingRow] = ()) -> Records:
    return Records([_record(row, "train") for row in train], [_record(row, "validation") for row in validation])


def read_records(store: ObjectStore, ref: VersionRef, manifest: DatasetManifest) -> tuple[Records, list[Finding]]:
    """All rows that can be read, and a finding that names those that cannot. CorruptDataError where a digest differs."""
    kind = KINDS[manifest.spec.format]
    train, wrong_train = _parse(read_lines(store, ref, manifest, TRAIN), kind, TRAIN)
    validation, wrong_validation = _parse(read_lines(store, ref, manifest, VALIDATION), kind, VALIDATION)
    wrong = wrong_train | wrong_validation
    if not wrong:
        return of_rows(train, validation), []
    name, reason = next(iter(wrong.items()))
    message = f"{len(wrong)} lines are no {manifest.spec.format} rows ({name}: {reason}): mend or remove them, and build again"
    return of_rows(train, validation), [finding("row-unreadable", message, wrong)]


def _parse(lines: Sequence[bytes], kind: type[TrainingRow], file: str) -> tuple[list[TrainingRow], dict[str, str]]:
    rows, wrong = [], {}
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            wrong[_name(line, f"{file} line {number}")] = f"{field}: {first['msg']}" if field else first["msg"]
    return rows, wrong


def _name(line: bytes, otherwise: str) -> str:
    """The question id of a line that failed, where it has one."""
    try:
        body = json.loads(line)
    except ValueError:
        return otherwise
    question_id = body.get("question_id") if isinstance(body, dict) else None
    return question_id if isinstance(question_id, str) and question_id else otherwise


def _record(row: TrainingRow, split: Literal["train", "validation"]) -> Record:
    answers = (row.chosen, row.rejected) if isinstance(row, DpoRow) else (row.completion,)
    return Record(
        question_id=row.question_id,
        split=split,
        source=row.source,
        prompt=tuple(row.prompt),
        answers=tuple(tuple(answer) for answer in answers),
        label=row.label if isinstance(row, KtoRow) else None,
    )
