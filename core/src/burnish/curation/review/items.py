"""What people review of a run log, as the items of a file: one a question with its failing answer; and what a decision must be.

A file is read back by `burnish.curation.review.reading`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
import orjson

from burnish.curation.own_grader import OwnGrader, logged_grader, objection
from burnish.curation.preferences.answers import Answer, logged_answers
from burnish.curation.preferences.checking import preference_refusal
from burnish.curation.preferences.items import preferred_fields
from burnish.diagnosis.clusters import RunCodes
from burnish.errors import InvalidInputError
from burnish.runlogs.columns import EXTRA
from burnish.runlogs.prompts import PROMPT_COLUMNS, prompt_of
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key, unstorable
from burnish.schemas.logged import text_of
from burnish.schemas.review import (
    CORRECTIONS,
    PREFERENCES,
    SET_ASIDE,
    Preference,
    ReviewDecision,
    ReviewEvent,
    ReviewState,
    TeacherSuggestion,
)
from burnish.schemas.runlog import UNLABELLED, Diagnosis, ReviewItem

_ITEM_COLUMNS = [
    "question_id",
    "question",
    "evidence_files",
    "answer",
    "failure_label",
    "expected_answer",
    "system_prompt",
    "slice",
    "evidence_text",
    "messages",
]
_FAILURE_COLUMNS = ["question_id", "failure_label", "answer", "expected_answer", EXTRA]
Prefill = Literal["expected", "suggestion", "any-suggestion"]
Failure = tuple[str, str]  # question id, failure label
AnswersOf = Callable[[Sequence[int]], Mapping[int, Sequence[Answer]]]  # rows -> the answers to the prompt of each


@dataclass(frozen=True)
class Correction:
    """The output that the model should have given to a question. Stands for (run log, question_id).

    prompt_key: of the prompt that its reviewer saw, which it is for; None: not recorded. state: corrected or accepted.
    """

    question_id: str
    failure_label: str
    corrected_output: str
    prompt_key: str | None = None
    state: ReviewState = field(default="corrected", compare=False)


class Decided(Protocol):
    """What somebody looked at when they decided about a question: a correction or an event."""

    @property
    def failure_label(self) -> str: ...

    @property
    def prompt_key(self) -> str | None: ...


@dataclass(frozen=True)
class Judgement:
    """What a person prefers of the answers to a question, instead of a correction. prompt_key: as of a Correction."""

    question_id: str
    failure_label: str
    preference: Preference
    prompt_key: str | None = None


@dataclass(frozen=True)
class KnownFailure:
    """The first failure of a question under one label: what its correction is checked against. row: in the run log."""

    answer: str
    own_grader: OwnGrader | None = None
    row: int = -1


class KnownFailures(dict[Failure, KnownFailure]):
    """(question_id, failure_label) -> the first failure. It does not change once something was looked up by question."""

    @cached_property
    def _labels(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for question_id, label in self:
            found[question_id].append(label)
        return found

    def labels_of(self, question_id: str) -> list[str]:
        """Labels under which a question failed, ascending; all of them are sorted by question once, not for each question."""
        return sorted(self._labels.get(question_id, ()))


def choose_labels(diagnosis: Diagnosis, labels: Sequence[str]) -> list[str]:
    """The labels asked for, checked against the log; none asked: those of the candidate clusters.

    InvalidInputError names the labels that exist.
    """
    known = [cluster.label for cluster in diagnosis.clusters if cluster.label != UNLABELLED]
    for label in labels:
        if label not in known:
            raise InvalidInputError(
                f"no model-attributed failure of run log {diagnosis.run_log_id} has the label {label!r}; "
                f"it has {', '.join(known) or 'none'}",
                label=label,
            )
    return list(labels) or [c.label for c in diagnosis.clusters if c.candidate]


def first_failures(
    codes: RunCodes, labels: Sequence[str], slices: Sequence[str] = (), prefer: Mapping[str, str] | None = None
) -> np.ndarray:
    """Rows of the first model-attributed failure of each question under these labels, ascending: what a reviewer sees.

    slices: only failures in these; empty: in all. prefer: question id -> the label whose first failure is taken for it, if there is one.
    """
    rows = np.flatnonzero(_reviewed_R(codes, labels, slices))
    if prefer:
        number = {label: code for code, label in enumerate(codes.labels)}
        wanted_Q = np.array([number.get(prefer.get(question, ""), -1) for question in codes.questions], dtype=np.int64)
        second_choice = wanted_Q[codes.question_R[rows]] != codes.label_R[rows]
        rows = rows[np.argsort(second_choice, kind="stable")]
    _, first = np.unique(codes.question_R[rows], return_index=True)
    chosen: np.ndarray = np.sort(rows[first])
    return chosen


def _reviewed_R(codes: RunCodes, labels: Sequence[str], slices: Sequence[str]) -> np.ndarray:
    """Which rows are model-attributed failures under these labels, in these slices."""
    chosen = set(labels)
    wanted = np.array([label in chosen for label in codes.labels] + [False], dtype=bool)
    reviewed: np.ndarray = codes.attributed_R & wanted[codes.label_R] & codes.in_slices(slices)
    return reviewed


def decided_failures(
    log: RunLogReader, codes: RunCodes, labels: Sequence[str], slices: Sequence[str], decided: Mapping[str, Decided]
) -> np.ndarray:
    """`first_failures`, but of a question that somebody decided about the failure that they saw, if it is among these labels and slices.

    That is the first one with the prompt that they saw; if that was not recorded, or is not here, the first under their label.
    """
    prefer = {question_id: each.failure_label for question_id, each in decided.items()}
    return seen_failures(log, codes, first_failures(codes, labels, slices, prefer), labels, slices, decided)


def seen_failures(
    log: RunLogReader,
    codes: RunCodes,
    rows: np.ndarray,
    labels: Sequence[str],
    slices: Sequence[str],
    decided: Mapping[str, Decided],
) -> np.ndarray:
    """The rows, one a question, with another one of the question where somebody saw another prompt and it is among these labels and slices."""
    seen = {q: each.prompt_key for q, each in decided.items() if each.prompt_key is not None}
    own = np.intersect1d(rows, codes.rows_of(seen))
    question = {int(row): codes.questions[codes.question_R[row]] for row in own}
    others = {question[row]: row for row, key in keys_of_rows(log, own) if key != seen[question[row]]}
    elsewhere = codes.rows_of(others)
    elsewhere = elsewhere[_reviewed_R(codes, labels, slices)[elsewhere]]
    replaced: dict[int, int] = {}
    for row, key in keys_of_rows(log, elsewhere):
        question_id = codes.questions[codes.question_R[row]]
        if key == seen[question_id]:
            replaced.setdefault(others[question_id], row)
    if not replaced:
        return rows
    return np.sort(np.array([replaced.get(row, row) for row in rows.tolist()], dtype=rows.dtype))


def keys_of_rows(log: RunLogReader, rows: np.ndarray) -> Iterator[tuple[int, str]]:
    """Each of these rows, ascending, with the key of its prompt."""
    numbers = iter(np.unique(rows).tolist())
    for piece in log.pieces(rows, PROMPT_COLUMNS):
        for row in piece.to_pylist():
            yield next(numbers), message_key(prompt_of(row))


def review_items(
    log: RunLogReader,
    codes: RunCodes,
    labels: Sequence[str],
    standing: Mapping[str, ReviewEvent] | None = None,
    slices: Sequence[str] = (),
    prefill: Prefill | None = None,
    states: Sequence[ReviewState] = (),
    suggestions: Mapping[str, Sequence[TeacherSuggestion]] | None = None,
    answers_of: AnswersOf | None = None,
) -> Iterator[ReviewItem]:
    """One item a question, in the order of the log, with what was decided about it; a correction is filled in, and named as such.

    suggestions: teachers' answers by question, the best first; that to the item's prompt stands beside it.
    answers_of: of which answers two that may be compared stand in it, if there are two; None: of the log's.
    prefill: what is filled in where nothing was decided, to be read and kept or changed: the run log's expected answer, the suggestion if
    it passed its grader, or any suggestion that has not failed it.
    states: only questions that stand so; empty: all.
    """
    decided = standing or {}
    rows = decided_failures(log, codes, labels, slices, decided)
    answers_of = answers_of or partial(logged_answers, log, codes)
    start = 0
    for piece in log.pieces(rows, _ITEM_COLUMNS):
        places = rows[start : start + len(piece)].tolist()
        start += len(piece)
        answers = answers_of(places)
        for place, row in zip(places, piece.to_pylist(), strict=True):
            event = decided.get(row["question_id"])
            state = event.state if event else "open"
            if states and state not in states:
                continue
            earlier = event.output if event and state in CORRECTIONS else ""
            expected = row["expected_answer"] or ""
            key = message_key(prompt_of(row))
            given = (suggestions or {}).get(row["question_id"], ())
            best = next((each for each in given if each.prompt_key == key), None)
            fields = {
                "question_id": row["question_id"],
                "question": row["question"],
                "evidence_files": row["evidence_files"],
                "original_answer": row["answer"],
                "failure_label": row["failure_label"],
                "corrected_output": earlier or (_prefilled(prefill, expected, best) if state == "open" else ""),
                "expected_answer": expected,
                "system_prompt": row["system_prompt"] or _system_of(row["messages"]),
                "slice": row["slice"],
                "earlier_correction": earlier,
                "state": state,
                "reason": event.reason if event else "",
                "author": event.author if event else "",
                "version": event.sequence if event else 0,
                "prompt_key": key,
                "suggestion": best.text if best else "",
                "suggested_by": best.teacher if best else "",
                "suggestion_grade": best.grade if best else None,
            }
            yield ReviewItem(**(fields | preferred_fields(row["question_id"], event, answers[place])))


def _prefilled(prefill: Prefill | None, expected: str, best: TeacherSuggestion | None) -> str:
    if prefill == "expected":
        return expected
    takes = {"suggestion": ("passed",), "any-suggestion": ("passed", "ungraded")}.get(prefill or "", ())
    return best.text if best is not None and best.grade in takes else ""


def _system_of(messages_json: str | None) -> str:
    """The system messages of a logged prompt."""
    messages = orjson.loads(messages_json) if messages_json else []
    return "\n".join(text_of(m.get("content")) for m in messages if m["role"] in ("system", "developer"))


def refusal(decision: ReviewDecision, known: KnownFailures, answers: Sequence[Answer] = ()) -> str | None:
    """Why nobody can decide that; None where they can. The label must be given. answers: those that can be preferred."""
    texts = {
        "question_id": decision.question_id,
        "failure_label": decision.failure_label or "",
        "author": decision.author,
    }
    for name, text in (texts | {"corrected_output": decision.output, "reason": decision.reason}).items():
        if reason := unstorable(text):
            return f"{name}: {reason}"
    failure = known.get((decision.question_id, decision.failure_label or ""))
    if failure is None:
        labels = known.labels_of(decision.question_id)
        if not labels:
            return f"question_id: {decision.question_id!r} has no model-attributed, labelled failure in this run log"
        return f"failure_label: {decision.question_id!r} failed as {' and '.join(labels)}, not as {decision.failure_label!r}"
    if reason := preference_refusal(decision, answers):
        return reason
    if decision.preference and decision.preference.choice == "up":
        failing = objection(failure.own_grader, decision.preference.a)
        return f"preference: {failing}; if the grader is wrong, flag the item" if failing else None
    if decision.state not in CORRECTIONS:
        if decision.output:
            return f"corrected_output: an item that is {decision.state} has none: empty it, or state"
        if decision.state in SET_ASIDE and not decision.reason.strip():
            return f"reason: say why the item is {decision.state}"
        return None
    if not decision.output.strip():
        return "corrected_output: write the answer that the model should have given"
    if decision.output.strip() == failure.answer.strip():
        return "corrected_output: the same as the original wrong answer"
    failing = objection(failure.own_grader, decision.output)
    return f"corrected_output: {failing}" if failing else None


def of_no_failure(log: RunLogReader, codes: RunCodes, decisions: Iterable[ReviewDecision]) -> dict[str, str]:
    """Question -> why it is refused, where a correction names a prompt with which its question did not fail in this run log."""
    tied = (*CORRECTIONS, *PREFERENCES)
    named = {d.question_id: d.prompt_key for d in decisions if d.prompt_key is not None and d.state in tied}
    rows = codes.rows_of(named)
    found = {
        codes.questions[codes.question_R[row]]
        for row, key in keys_of_rows(log, rows[codes.attributed_R[rows]])
        if key == named[codes.questions[codes.question_R[row]]]
    }
    reason = (
        "prompt_key: {!r} did not fail with this prompt in this run log, so the correction is for another one: "
        "export the review again, or take the key out if it is right for every prompt of the question"
    )
    return {question_id: reason.format(question_id) for question_id in named if question_id not in found}


def known_failures(log: RunLogReader, codes: RunCodes, question_ids: Iterable[str] | None = None) -> KnownFailures:
    """(question_id, failure_label) -> the first failure, for the labelled model-attributed failures of these questions (None: of all)."""
    rows = np.arange(len(codes.question_R)) if question_ids is None else codes.rows_of(question_ids)
    rows = rows[codes.attributed_R[rows] & (codes.label_R[rows] >= 0)]
    pairs = codes.question_R[rows] * (len(codes.labels) + 1) + codes.label_R[rows]
    _, first = np.unique(pairs, return_index=True)
    places = rows[np.sort(first)]
    read = (row for piece in log.pieces(places, _FAILURE_COLUMNS) for row in piece.to_pylist())
    return KnownFailures(
        ((row["question_id"], row["failure_label"]), KnownFailure(row["answer"], _own_grader(row), place))
        for place, row in zip(places.tolist(), read, strict=True)
    )


def _own_grader(row: Mapping[str, Any]) -> OwnGrader | None:
    named = row[EXTRA] if row[EXTRA] and '"grader"' in row[EXTRA] else "{}"
    return logged_grader(orjson.loads(named), row["expected_answer"])
