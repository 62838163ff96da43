"""Two answers to one prompt side by side: which answers there are for an item, and which two are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from burnish.curation.preferences.answers import Answer, distinct, logged_answers
from burnish.curation.preferences.pairs import Pair, pairs_of
from burnish.curation.review.items import KnownFailures, seen_failures
from burnish.schemas.review import Preference, ReviewDecision
from burnish_curator.reviews.history import ReviewHistory
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.runlogs.repository import OpenRunLog


@dataclass(frozen=True)
class Choices:
    """answers: everything there is to the item's prompt. number: of the pair that is shown."""

    answers: list[Answer]
    pairs: list[Pair]
    number: int = 0

    @property
    def pair(self) -> Pair | None:
        return self.pairs[self.number] if self.pairs else None


class AnswerBook:
    """The answers that people may prefer: the log's, teachers', and those that a preference which stands is about, whatever else there is now."""

    def __init__(self, log: OpenRunLog, history: ReviewHistory, suggestions: SuggestionRepository) -> None:
        self._log = log
        self._history = history
        self._suggestions = suggestions

    def of_rows(self, rows: Sequence[int]) -> dict[int, list[Answer]]:
        """Of each row the answers to its prompt, its own first."""
        log = self._log
        asked = {row: log.codes.questions[log.codes.question_R[row]] for row in rows}
        taught = self._suggestions.of(log.id, set(asked.values()))
        proposed = {
            q: [(each.prompt_key, Answer(each.text, each.teacher)) for each in given] for q, given in taught.items()
        }
        standing = self._history.standing(log.id, set(asked.values()))
        found = logged_answers(log.reader, log.codes, rows, proposed)
        for row, answers in found.items():
            event = standing.get(asked[row])
            if event and event.preference:
                stood = event.preference
                found[row] = distinct([*answers, Answer(stood.a, stood.a_source), Answer(stood.b, stood.b_source)])
        return found

    def of_decisions(self, known: KnownFailures, decisions: Sequence[ReviewDecision]) -> list[list[Answer]]:
        """Of each decision the answers to the prompt that was looked at; none if its failure is not known."""
        log = self._log
        about = [known.get((d.question_id, d.failure_label or "")) for d in decisions]
        rows = np.unique(np.array([failure.row for failure in about if failure], dtype=np.int64))
        labels = sorted({d.failure_label for d in decisions if d.failure_label})
        seen = seen_failures(log.reader, log.codes, rows, labels, (), {d.question_id: _Seen(d) for d in decisions})
        row_of = {log.codes.questions[log.codes.question_R[row]]: row for row in seen.tolist()}
        answers = self.of_rows(list(row_of.values()))
        return [answers[row_of[d.question_id]] if failure else [] for d, failure in zip(decisions, about, strict=True)]


@dataclass(frozen=True)
class _Seen:
    decision: ReviewDecision

    @property
    def failure_label(self) -> str:
        return self.decision.failure_label or ""

    @property
    def prompt_key(self) -> str | None:
        return self.decision.prompt_key


def choices_of(question_id: str, answers: Sequence[Answer], stood: Preference | None, number: int | None) -> Choices:
    """number: the pair asked for; None: the one that was compared before, else the first."""
    pairs = pairs_of(question_id, answers)
    if stood and stood.b and not any(pair.holds({stood.a, stood.b}) for pair in pairs):
        pairs.append(Pair(Answer(stood.a, stood.a_source), Answer(stood.b, stood.b_source)))
    if number is None and stood and stood.b:
        number = next(n for n, pair in enumerate(pairs) if pair.holds({stood.a, stood.b}))
    return Choices(list(answers), pairs, min(number or 0, max(0, len(pairs) - 1)))
