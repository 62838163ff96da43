"""Which two answers are compared, and on which side each is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from burnish.curation.preferences.answers import Answer
from burnish.digests import sha256_hex
from burnish.schemas.review import Choice, Preference

MOST_PAIRS = 10


@dataclass(frozen=True)
class Pair:
    """Two different answers to one prompt, as they are shown: A on the left, B on the right."""

    a: Answer
    b: Answer

    def holds(self, texts: set[str]) -> bool:
        return {self.a.text, self.b.text} == texts

    def preference(self, choice: Choice) -> Preference:
        return Preference(choice=choice, a=self.a.text, b=self.b.text, a_source=self.a.source, b_source=self.b.source)


def pairs_of(question_id: str, answers: Sequence[Answer]) -> list[Pair]:
    """Every two of the answers, those with the first one before the others, 10 at most; empty if there are no two.

    The sides are drawn by a hash of the question and both texts, so that a side says nothing of where an answer is from, and
    the same two stand alike on the page, in a file, and for a second reviewer.
    """
    found = [_placed(question_id, one, other) for one, other in combinations(answers, 2)]
    return found[:MOST_PAIRS]


def _placed(question_id: str, one: Answer, other: Answer) -> Pair:
    first, second = sorted((one, other), key=lambda answer: answer.id)
    drawn = int(sha256_hex(f"side\x00{question_id}\x00{first.id}\x00{second.id}".encode())[:8], 16)
    return Pair(first, second) if drawn % 2 else Pair(second, first)
