"""Clean sets as users have them, and `look`, which examines rows as a job would be: what this repository ships and generates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from conftest import REPOSITORY
from unit.trainer.made import assistant

from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import (
    DatasetCounts,
    DatasetManifest,
    DatasetSpec,
    DpoRow,
    KtoRow,
    LengthStatistics,
    SftRow,
    Split,
)
from burnish.schemas.runlog import RunLogLine
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS, Method
from burnish_client.demo.stdlib_benchmark import generate
from burnish_trainer.data.rows import KINDS, Records, StoredRow, record_of
from burnish_trainer.preflight.base_model import BaseModel
from burnish_trainer.preflight.examine import CheckContext, examine
from burnish_trainer.preflight.types import CheckReport

TICKETS = REPOSITORY / "examples/support-tickets"
VALIDATED = 8  # every eighth row validates


@cache
def stdlib(seed: int = 0, size: int = 280) -> tuple[SftRow, ...]:
    """Functions of the standard library with answers in JSON and in words, as the demo trains on them."""
    return tuple(
        SftRow(
            question_id=question.question_id,
            source="correction" if question.slice == "signature-json" else "anchor",
            prompt=question.prompt_messages(),
            completion=assistant(question.expected_answer),
        )
        for question in generate(seed, size)
    )


def _log() -> list[RunLogLine]:
    return [RunLogLine.model_validate_json(line) for line in (TICKETS / "runlog.jsonl").read_bytes().splitlines()]


def _benchmark() -> dict[str, BenchmarkQuestion]:
    lines = (TICKETS / "benchmark.jsonl").read_bytes().splitlines()
    questions = [BenchmarkQuestion.model_validate_json(line) for line in lines]
    return {question.question_id: question for question in questions}


@cache
def tickets() -> tuple[SftRow, ...]:
    """The example's questions with their known-good answers."""
    return tuple(
        SftRow(
            question_id=question.question_id,
            source="correction" if question.slice == "record" else "anchor",
            prompt=question.prompt_messages(),
            completion=assistant(question.expected_answer),
        )
        for question in _benchmark().values()
    )


@cache
def preferences() -> tuple[DpoRow, ...]:
    """The example's known-good answers, each against what the model really said."""
    known = _benchmark()
    wrong = {line.question_id: line for line in _log() if line.grade == "incorrect"}
    return tuple(
        DpoRow(
            question_id=question_id,
            source="correction",
            prompt=prompt_messages(line),
            chosen=assistant(known[question_id].expected_answer),
            rejected=assistant(line.answer),
        )
        for question_id, line in wrong.items()
    )


@cache
def thumbs() -> tuple[KtoRow, ...]:
    """The example's log as it is: every question's last answer, up or down."""
    last = {line.question_id: line for line in _log()}
    return tuple(
        KtoRow(
            question_id=question_id,
            source="logged",
            prompt=prompt_messages(line),
            completion=assistant(line.answer),
            label=line.grade == "correct",
        )
        for question_id, line in last.items()
    )


def clean(method: str) -> tuple[StoredRow, ...]:
    return {"sft": stdlib(), "dpo": preferences(), "kto": thumbs()}[method]


def manifest(rows: Sequence[StoredRow], **changes: Any) -> DatasetManifest:
    """Of a version with these rows; `spec`, `split` and `lengths` are merged into plain ones."""
    kind = next(name for name, kind in KINDS.items() if isinstance(rows[0], kind))
    spec = {"name": "set", "run_log_id": "0" * 16, "labels": ["wrong"], "format": kind}
    split: dict[str, Any] = {
        "targeted": [], "held_out": [], "train": [r.question_id for r in rows], "validation": [], "anchors": []
    }  # fmt: skip
    lengths = {"unit": "characters", "minimum": 0, "median": 0, "p95": 0, "maximum": 0, "total": 0}
    return DatasetManifest(
        name="set",
        version="0" * 16,
        spec=DatasetSpec.model_validate(spec | changes.pop("spec", {})),
        counts=DatasetCounts(corrections=len(rows), anchors=0, train=len(rows), validation=0, held_out=0),
        split=Split.model_validate(split | changes.pop("split", {})),
        lengths=LengthStatistics.model_validate(lengths | changes.pop("lengths", {})),
        **changes,
    )


def spec_of(method: Method, **changes: Any) -> JobSpec:
    """As acceptance fills it in: the method's own defaults."""
    declared = METHODS[method]
    fields: dict[str, Any] = {
        "dataset": {"name": "set", "version": "0" * 16},
        "adapter_name": "adapter",
        "method": method,
        "params": declared.params().model_dump(mode="json"),
        "lora": {"rank": 32},
        "optimizer": {"learning_rate": declared.learning_rate, "evaluation_interval_steps": 10},
    }
    for name in ("lora", "optimizer", "params"):
        fields[name] = {**fields[name], **changes.pop(name, {})}
    return JobSpec.model_validate(json.loads(json.dumps(fields | changes)))


def of_rows(train: Sequence[StoredRow], validation: Sequence[StoredRow] = ()) -> Records:
    return Records([record_of(row) for row in train], [record_of(row) for row in validation], {})


def look(
    base: BaseModel,
    train: Sequence[StoredRow],
    validation: Sequence[StoredRow] = (),
    method: Method = "sft",
    questions: Sequence[BenchmarkQuestion] = (),
    served_rank: int | None = None,
    stated: DatasetManifest | None = None,
    **changes: Any,
) -> CheckReport:
    """Examine rows. changes: of the spec."""
    context = CheckContext(stated or manifest([*train, *validation]), questions, served_rank)
    return examine(spec_of(method, **changes), of_rows(train, validation), base, context)


def parted(rows: Sequence[StoredRow]) -> tuple[list[StoredRow], list[StoredRow]]:
    """Training and validation rows."""
    validation = [row for index, row in enumerate(rows) if index % VALIDATED == 0]
    return [row for index, row in enumerate(rows) if index % VALIDATED], validation


def user(text: str, system: str | None = None) -> list[Message]:
    first = [Message(role="system", content=system)] if system else []
    return [*first, Message(role="user", content=text)]
