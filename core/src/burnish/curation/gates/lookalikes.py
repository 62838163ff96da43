"""Finds questions that ask nearly the same: sketches give candidates, true Jaccard decides. Used by the gates.

Source: rensa's R-MinHash with LSH bands. Its hashes change between versions, so no sketch is stored.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rensa import RMinHash, RMinHashLSH

from burnish.schemas.base import Message

SHINGLE = 4  # characters
SIMILARITY = 0.7  # Jaccard
PERMUTATIONS, BANDS, SEED = 128, 32, 42
SKETCHED = 256  # shingles of a text that are sketched, those with the smallest hashes; the comparison itself takes all
CANDIDATE_SIMILARITY = 0.5  # by the sketches; below it a pair is not compared
COMPARED = 20  # of the candidates, those with the most similar sketches
CROWD = 500  # candidates of one text that are looked at; a text with more is not kept, since enough like it are
TEMPLATE_SHARE, TEMPLATE_TEXTS = 0.2, 3
SAMPLED = 1000  # texts that say what the template is
LEAST_SHINGLES = 4  # with fewer besides the template, nothing can be said
NUMBER = re.compile(r"\d+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.array([], dtype=np.uint64)


@dataclass(frozen=True)
class Asked:
    """What is asked: the question as it was logged, and the user's whole last turn, which may hold evidence too."""

    question: str
    turn: str

    @classmethod
    def of(cls, question: str | None, prompt: Sequence[Message]) -> Asked:
        """question: None or empty if the prompt is all that is known."""
        turn = last_turn(prompt)
        return cls(question if question and question.strip() else turn, turn)


@dataclass(frozen=True)
class Like:
    """A question found: its key, and the Jaccard similarity of both questions' shingles."""

    key: str
    similarity: float


class Lookalikes:
    """An index of questions. Two are alike if their questions are, their last turns too, and both have the same numbers.

    template: shingles that do not count (see template_of).
    """

    def __init__(self, template: np.ndarray = _NONE) -> None:
        self._template = template
        self._index = RMinHashLSH(SIMILARITY, PERMUTATIONS, BANDS)
        self._keys: list[str] = []
        self._asked: list[Asked] = []
        self._sketches: list[RMinHash] = []

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, asked: Asked, but: frozenset[str] = frozenset()) -> list[Like]:
        """Questions alike, the most similar first, COMPARED at most. but: keys that are left aside."""
        tokens = self._tokens(asked.turn)
        if len(tokens) < LEAST_SHINGLES:
            return []
        sketch = _sketch(tokens, asked)
        candidates = [number for number in self._index.query(sketch) if self._keys[number] not in but]
        return self._alike(asked, tokens, sketch, candidates)

    def add(self, key: str, asked: Asked) -> list[Like]:
        """As find, and then it is in the index too."""
        tokens = self._tokens(asked.turn)
        if len(tokens) < LEAST_SHINGLES:
            return []
        sketch = _sketch(tokens, asked)
        candidates = self._index.query(sketch)
        if len(candidates) <= CROWD:
            self._index.insert(len(self._keys), sketch)
            self._keys.append(key)
            self._asked.append(asked)
            self._sketches.append(sketch)
        return self._alike(asked, tokens, sketch, candidates)

    def _alike(self, asked: Asked, tokens: np.ndarray, sketch: RMinHash, candidates: Iterable[int]) -> list[Like]:
        near = sorted((-sketch.jaccard(self._sketches[number]), number) for number in sorted(candidates)[:CROWD])
        found = []
        for estimate, number in near[:COMPARED]:
            similarity = (
                self._similarity(asked, tokens, self._asked[number]) if -estimate >= CANDIDATE_SIMILARITY else 0
            )
            if similarity >= SIMILARITY:
                found.append(Like(self._keys[number], similarity))
        return sorted(found, key=lambda like: (-like.similarity, like.key))

    def _similarity(self, asked: Asked, tokens: np.ndarray, other: Asked) -> float:
        """The smaller one, of the last turns and of the questions in them."""
        turns = jaccard(tokens, self._tokens(other.turn))
        if turns < SIMILARITY or (asked.question == asked.turn and other.question == other.turn):
            return turns
        return min(turns, jaccard(shingles(asked.question), shingles(other.question)))

    def _tokens(self, text: str) -> np.ndarray:
        found = shingles(text)
        return np.setdiff1d(found, self._template, assume_unique=True) if len(self._template) else found


def shingles(text: str) -> np.ndarray:
    """Distinct 64-bit hashes of runs of SHINGLE characters, ascending. Case, and how much white space there is, do not count."""
    codes = np.frombuffer(fold(text).ljust(SHINGLE).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    windows = np.lib.stride_tricks.sliding_window_view(codes.astype(np.uint64), SHINGLE)
    hashed = np.zeros(len(windows), dtype=np.uint64)
    for column in range(SHINGLE):
        hashed = (hashed ^ windows[:, column]) * _MULTIPLIER  # wraps
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed)


def fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Of two ascending arrays of distinct values; 1 if both are empty."""
    if not len(one) and not len(other):
        return 1.0
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def template_of(texts: Iterable[str]) -> np.ndarray:
    """Shingles that more than a fifth of the distinct texts share (and more than three texts): what every question of the set says."""
    distinct = sorted({fold(text) for text in texts})
    sample = distinct[:: max(1, len(distinct) // SAMPLED)]
    if not sample:
        return _NONE
    values, counts = np.unique(np.concatenate([shingles(text) for text in sample]), return_counts=True)
    template: np.ndarray = values[counts > max(TEMPLATE_TEXTS, TEMPLATE_SHARE * len(sample))]
    return template


def last_turn(prompt: Sequence[Message]) -> str:
    """What the user said last; of a prompt without a user, its last message."""
    said = [message.content for message in prompt if message.role == "user"]
    return said[-1] if said else prompt[-1].content


def _sketch(tokens: np.ndarray, asked: Asked) -> RMinHash:
    """Questions with other numbers share no token."""
    numbers = ",".join(sorted(NUMBER.findall(asked.question)))
    data = (tokens[:SKETCHED] ^ np.uint64(zlib.crc32(numbers.encode()))).tobytes()
    words = [data[start : start + 8] for start in range(0, len(data), 8)]
    return RMinHash.from_token_sets([words], PERMUTATIONS, SEED)[0]
