"""The gate that compares meaning: does a row ask a benchmark question in altogether other words? A suspicion, since no bound is safe (ADR 0029)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from burnish.curation.gates.lookalikes import NUMBER, Asked, Like
from burnish.embedding.vectors import WordLlama

COSINE = 0.65
OWN_WORDS = 3  # that each question must have and the other not: else they are one template with another thing in it
LOOKED_AT = 20  # of the benchmark questions above the bound, the most similar ones
BLOCK = 1024
WORD = re.compile(r"\w+")


class Paraphrases:
    """Benchmark questions by meaning. What a text is like is kept, so that asking again costs nothing.

    others: what else is asked in this dataset. With the benchmark it says which words are common, and so say little.
    """

    def __init__(self, benchmark: Mapping[str, Asked], others: Sequence[Asked]) -> None:
        self._ids = list(benchmark)
        texts = [asked.question for asked in benchmark.values()]
        self._words = [words_of(text) for text in texts]
        self._embedder = WordLlama().fitted([*texts, *(asked.question for asked in others)])
        self._vectors = self._embedder.vectors(texts)
        self._likes: dict[str, list[Like]] = {}
        self.prepare(others)

    def prepare(self, asked: Iterable[Asked]) -> None:
        """Compare many at once, which is faster than one by one."""
        texts = [text for text in dict.fromkeys(each.question for each in asked) if text not in self._likes]
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            cosines = self._embedder.vectors(block) @ self._vectors.T
            self._likes |= {text: [] for text in block}
            for row in np.flatnonzero((cosines >= COSINE).any(axis=1)):
                self._likes[block[row]] = self._alike(block[row], cosines[row])

    def find(self, asked: Asked, but: frozenset[str] = frozenset()) -> Like | None:
        """The benchmark question that says most nearly the same, with its cosine. but: ids that are left aside."""
        if asked.question not in self._likes:
            self.prepare([asked])
        return next((like for like in self._likes[asked.question] if like.key not in but), None)

    def _alike(self, text: str, cosines: np.ndarray) -> list[Like]:
        above = np.flatnonzero(cosines >= COSINE)
        best = above[np.argsort(-cosines[above], kind="stable")][:LOOKED_AT]
        words = words_of(text)
        return [Like(self._ids[n], min(1.0, float(cosines[n]))) for n in best if in_other_words(words, self._words[n])]


@dataclass(frozen=True)
class Words:
    """Of a text: its distinct words in lower case, and its numbers in order of their digits."""

    words: frozenset[str]
    numbers: tuple[str, ...]


def words_of(text: str) -> Words:
    return Words(frozenset(WORD.findall(text.casefold())), tuple(sorted(NUMBER.findall(text))))


def in_other_words(one: Words, other: Words) -> bool:
    """Whether each has words that the other has not, and both the same numbers."""
    own = min(len(one.words - other.words), len(other.words - one.words))
    return own >= OWN_WORDS and one.numbers == other.numbers
