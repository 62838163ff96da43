"""The answers that a run log has to one prompt of a question: samples of the model, other models' answers, and what the log proposes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from burnish.diagnosis.clusters import RunCodes
from burnish.digests import version_of
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key
from burnish.schemas.runlog import RunLogLine

LOGGED = "logged answer"
EXPECTED = "expected answer"
CORRECTION = "correction from the log"
Proposed = tuple[str, "Answer"]  # key of the prompt that it answers (message_key), and the answer
MOST_SAMPLES = 8  # runs of one question that are read


@dataclass(frozen=True)
class Answer:
    """source: the model that gave it, or what proposed it."""

    text: str
    source: str

    @property
    def id(self) -> str:
        """Stands for the text, in a form."""
        return version_of(self.text.encode())


def distinct(answers: Iterable[Answer]) -> list[Answer]:
    """Each text once, white space around it aside, and none that is empty; in order."""
    found: dict[str, Answer] = {}
    for answer in answers:
        if answer.text.strip():
            found.setdefault(answer.text.strip(), answer)
    return list(found.values())


def logged_answers(
    log: RunLogReader,
    codes: RunCodes,
    rows: Sequence[int] | np.ndarray,
    proposed: Mapping[str, Sequence[Proposed]] | None = None,
) -> dict[int, list[Answer]]:
    """Of each of these rows the different answers to its question and prompt: its own first, the log's proposals and others' last.

    proposed: question id -> what teachers answered to any of its prompts. Of a question the row itself and the first 7 of its other runs are read. A run that a dataset row cannot hold (tool calls, images, files) has no answers.
    """
    shown = np.unique(np.asarray(rows, dtype=np.int64))
    if not shown.size:
        return {}
    others = _samples(codes, shown)
    lines = _lines(log, np.concatenate([shown, *others.values()]))
    found = {}
    for row in shown.tolist():
        own = lines[row]
        key = message_key(prompt_messages(own))
        alike = [lines[other] for other in others[row].tolist() if message_key(prompt_messages(lines[other])) == key]
        given = [Answer(line.answer, line.model or LOGGED) for line in (own, *alike) if is_plain(line)]
        taught = [answer for asked, answer in (proposed or {}).get(own.question_id, ()) if asked == key]
        found[row] = distinct([*given, *_proposals(own), *taught]) if is_plain(own) else []
    return found


def _lines(log: RunLogReader, rows: np.ndarray) -> dict[int, RunLogLine]:
    wanted = np.unique(rows)
    return dict(zip(wanted.tolist(), log.lines(wanted), strict=True))


def _samples(codes: RunCodes, shown: np.ndarray) -> dict[int, np.ndarray]:
    """Of each row the first other rows of its question, ascending."""
    wanted = np.zeros(len(codes.questions), dtype=bool)
    wanted[codes.question_R[shown]] = True
    rows = np.flatnonzero(wanted[codes.question_R])
    order = rows[np.argsort(codes.question_R[rows], kind="stable")]
    questions, starts = np.unique(codes.question_R[order], return_index=True)
    of_question = dict(zip(questions.tolist(), np.split(order, starts[1:]), strict=True))
    return {
        row: (same := of_question[codes.question_R[row]])[same != row][: MOST_SAMPLES - 1] for row in shown.tolist()
    }


def _proposals(line: RunLogLine) -> list[Answer]:
    return [Answer(line.expected_answer or "", EXPECTED), Answer(line.correction or "", CORRECTION)]
