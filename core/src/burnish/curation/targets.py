"""From a run log and its corrections to training examples: one an own prompt, with everything that shares that prompt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from burnish.curation.review import Correction, first_failures
from burnish.diagnosis.clusters import RunCodes
from burnish.runlogs.prompts import prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Message, message_key
from burnish.schemas.runlog import RunLogLine

NO_CORRECTION = "no correction"
CONFLICT = "conflicting corrections of one prompt"
DUPLICATE = "duplicate: another question has the same prompt"
BENCHMARK_ONLY = "benchmark_only"
ANSWERED = "messages end with the model's own turn: log what it was sent, without its answer"
REPEATED = "the correction repeats the wrong answer"
_PROMPT_COLUMNS = ["question_id", "question", "system_prompt", "evidence_text", "messages"]


@dataclass(frozen=True)
class Target:
    """A question that failed under a chosen label, as its first such failure shows it."""

    question_id: str
    label: str
    prompt: list[Message]
    wrong_answer: str

    @property
    def key(self) -> str:
        return message_key(self.prompt)


@dataclass(frozen=True)
class Example:
    """One prompt with its one correction. question_ids: every targeted question that has this prompt, ascending."""

    key: str
    question_ids: tuple[str, ...]
    label: str
    prompt: list[Message]
    correction: str
    wrong_answer: str

    @property
    def question_id(self) -> str:
        return self.question_ids[0]


@dataclass
class Examples:
    """Examples in the order of the log, and how many targets were discarded for which reason."""

    examples: list[Example] = field(default_factory=list)
    discarded: Counter[str] = field(default_factory=Counter)


def is_answered(prompt: Sequence[Message]) -> bool:
    """Whether the prompt already holds the answer, as logs of whole conversations do: nothing to train on."""
    return prompt[-1].role == "assistant"


def read_targets(log: RunLogReader, codes: RunCodes, labels: Sequence[str]) -> list[Target]:
    """The first model-attributed failure of every question under these labels, in the order of the log."""
    return [
        Target(
            question_id=line.question_id,
            label=line.failure_label or "",
            prompt=prompt_messages(line),
            wrong_answer=line.answer,
        )
        for line in log.lines(first_failures(codes, labels))
    ]


def collect_examples(
    targets: Iterable[Target], corrections: Mapping[str, Correction], benchmark_only: frozenset[str]
) -> Examples:
    """Group the targets by prompt and settle each group's correction.

    A group without correction, or with two that differ, is discarded whole. Of a group with one correction the
    corrected question with the smallest id gives the row; the others count as duplicates but follow it into its split.
    """
    result = Examples()
    groups: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        if target.question_id in benchmark_only:
            result.discarded[BENCHMARK_ONLY] += 1
        elif is_answered(target.prompt):
            result.discarded[ANSWERED] += 1
        else:
            groups[target.key].append(target)
    for key, group in groups.items():
        corrected = sorted((t for t in group if t.question_id in corrections), key=lambda t: t.question_id)
        outputs = {corrections[t.question_id].corrected_output for t in corrected}
        if len(outputs) != 1:
            result.discarded[CONFLICT if outputs else NO_CORRECTION] += len(group)
            continue
        first = corrected[0]
        output = outputs.pop()
        if output.strip() == first.wrong_answer.strip():
            result.discarded[REPEATED] += len(group)
            continue
        others = sorted(t.question_id for t in group if t.question_id != first.question_id)
        if others:
            result.discarded[DUPLICATE] += len(others)
        ids = (first.question_id, *others)
        result.examples.append(Example(key, ids, first.label, first.prompt, output, first.wrong_answer))
    return result


def prompt_keys(log: RunLogReader, codes: RunCodes, question_ids: Iterable[str]) -> dict[str, set[str]]:
    """Question id -> the keys of every prompt it was asked with anywhere in the log (evidence may differ from run to run)."""
    rows = codes.rows_of(question_ids)
    seen: set[tuple[Any, ...]] = set()
    keys: dict[str, set[str]] = defaultdict(set)
    for piece in log.pieces(rows, _PROMPT_COLUMNS):
        columns = [piece[name].to_pylist() for name in _PROMPT_COLUMNS]
        for spelled in zip(*columns, strict=True):
            if spelled not in seen:
                seen.add(spelled)
                keys[spelled[0]].add(message_key(_prompt_of(spelled)))
    return dict(keys)


def _prompt_of(spelled: tuple[Any, ...]) -> list[Message]:
    row = dict(zip(_PROMPT_COLUMNS, spelled, strict=True))
    messages = orjson.loads(row["messages"]) if row["messages"] is not None else None
    line = RunLogLine.model_construct(
        question=row["question"],
        system_prompt=row["system_prompt"],
        evidence_text=row["evidence_text"],
        messages=[Message.model_validate(message) for message in messages] if messages else None,
    )
    return prompt_messages(line)


def always_passing(codes: RunCodes) -> np.ndarray:
    """The first row of every question that passes on each of its lines, ascending."""
    failed = np.unique(codes.question_R[~codes.passing_R])
    rows = np.flatnonzero(~np.isin(codes.question_R, failed))
    _, first = np.unique(codes.question_R[rows], return_index=True)
    chosen: np.ndarray = rows[np.sort(first)]
    return chosen
