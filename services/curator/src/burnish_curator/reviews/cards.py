"""What a reviewer sees of a failed question, and which answers the log and other models propose for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from burnish.curation.own_grader import logged_grader, objection
from burnish.digests import sha256_hex
from burnish.runlogs.columns import EXTRA
from burnish.runlogs.prompts import prompt_of
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key
from burnish.schemas.review import TeacherSuggestion

_COLUMNS = [
    "question_id",
    "slice",
    "question",
    "system_prompt",
    "messages",
    "evidence_text",
    "evidence_files",
    "answer",
    "expected_answer",
    "correction",
    "failure_label",
    "model",
    EXTRA,
]


@dataclass(frozen=True)
class Suggestion:
    """An answer that something proposes. is_graded: a grader has said something of it; objection: how that fails the answer."""

    source: str
    text: str
    is_graded: bool
    objection: str | None

    @property
    def key(self) -> str:
        """Names its text, whatever comes before it by the time it is taken."""
        return sha256_hex(self.text.encode(errors="surrogatepass"))[:12]

    @property
    def rank(self) -> int:
        """Those that passed come first, those that failed last."""
        return 2 if self.objection else 0 if self.is_graded else 1


def read_card(log: RunLogReader, row: int) -> dict[str, Any]:
    """The columns of one row, `prompt_key`, and `row` itself."""
    [card] = log.table([row], _COLUMNS).to_pylist()
    found: dict[str, Any] = card
    return found | {"prompt_key": message_key(prompt_of(card)), "row": int(row)}


def suggestions_of(card: dict[str, Any], taught: Iterable[TeacherSuggestion] = ()) -> list[Suggestion]:
    """The expected answer, a correction from elsewhere and teachers' answers to the card's prompt, those that pass first.

    Each text once, and never the wrong answer again.
    """
    extra = orjson.loads(card[EXTRA]) if card[EXTRA] and '"grader"' in card[EXTRA] else {}
    grader = logged_grader(extra, card["expected_answer"])
    found: dict[str, Suggestion] = {}
    for source, text in (("expected answer", card["expected_answer"]), ("correction from the log", card["correction"])):
        if text and _is_new(text, card, found):
            found[text] = Suggestion(source, text, grader is not None, objection(grader, text))
    for answer in taught:
        if answer.prompt_key == card["prompt_key"] and _is_new(answer.text, card, found):
            found[answer.text] = _of_teacher(answer)
    return sorted(found.values(), key=lambda suggestion: suggestion.rank)


def _is_new(text: str, card: dict[str, Any], found: dict[str, Suggestion]) -> bool:
    return bool(text.strip()) and text.strip() != card["answer"].strip() and text not in found


def _of_teacher(answer: TeacherSuggestion) -> Suggestion:
    failing = f"{answer.grader} fails it as {answer.detail}" if answer.grade == "failed" else None
    return Suggestion(answer.teacher, answer.text, answer.grade != "ungraded", failing)
