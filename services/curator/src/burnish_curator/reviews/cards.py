"""What a reviewer sees of a failed question, and which answers the log proposes for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from burnish.curation.own_grader import logged_grader, objection
from burnish.runlogs.columns import EXTRA
from burnish.runlogs.prompts import prompt_of
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key

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
    """An answer that something proposes. is_graded: the question has a grader of its own; objection: how that fails the answer."""

    source: str
    text: str
    is_graded: bool
    objection: str | None


def read_card(log: RunLogReader, row: int) -> dict[str, Any]:
    """The columns of one row, and `prompt_key`."""
    [card] = log.table([row], _COLUMNS).to_pylist()
    found: dict[str, Any] = card
    return found | {"prompt_key": message_key(prompt_of(card))}


def suggestions_of(card: dict[str, Any]) -> list[Suggestion]:
    """The expected answer and a correction from elsewhere, each text once, and never the wrong answer again."""
    extra = orjson.loads(card[EXTRA]) if card[EXTRA] and '"grader"' in card[EXTRA] else {}
    grader = logged_grader(extra, card["expected_answer"])
    found: dict[str, Suggestion] = {}
    for source, text in (("expected answer", card["expected_answer"]), ("correction from the log", card["correction"])):
        if text and text.strip() and text.strip() != card["answer"].strip() and text not in found:
            found[text] = Suggestion(source, text, grader is not None, objection(grader, text))
    return list(found.values())
