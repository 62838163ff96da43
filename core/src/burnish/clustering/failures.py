"""The failures that a clustering is of: which rows they are, and what of each is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from burnish.clustering.communities import NEAR_DUPLICATE, communities
from burnish.clustering.naming.forms import Form, form_of
from burnish.clustering.texts import LONGEST, Kept, joined, topic_words, without_topic, words
from burnish.diagnosis import RunCodes
from burnish.embedding.neighbours import leaders, nearest
from burnish.embedding.vectors import Embedder, without_common
from burnish.errors import InvalidInputError
from burnish.grading.line_signatures import line_signature
from burnish.runlogs.columns import LINE_NUMBER
from burnish.runlogs.prompts import prompt_messages
from burnish.runlogs.reader import RunLogReader

MOST_QUESTIONS = 15_000  # whose neighbours are looked for: topics are for looking at


@dataclass(frozen=True)
class Failures:
    """One entry a failing line. row: of the run log now; line: its number in the file, which an erasure of other lines does not change.

    question_R: a code, equal for the same question id.
    """

    row_R: np.ndarray
    line_R: np.ndarray
    question_R: np.ndarray
    signatures: list[str | None]
    answers: list[list[str]]
    questions: list[str]
    forms: list[Form | None]

    def __len__(self) -> int:
        return len(self.row_R)

    def __add__(self, other: Failures) -> Failures:
        """Both, this one's first. Question codes of the two say nothing of each other."""
        return Failures(
            np.concatenate([self.row_R, other.row_R]),
            np.concatenate([self.line_R, other.line_R]),
            np.concatenate([self.question_R, other.question_R + self.question_R.max(initial=-1) + 1]),
            self.signatures + other.signatures,
            self.answers + other.answers,
            self.questions + other.questions,
            self.forms + other.forms,
        )


def failing_rows(codes: RunCodes, labels: Sequence[str] = ()) -> np.ndarray:
    """Rows whose failure is the model's and has no label, or one of these. InvalidInputError for a label that there is not."""
    missing = sorted(set(labels) - set(codes.labels))
    if missing:
        raise InvalidInputError(
            f"no line has the failure label {missing[0]!r}; there are {', '.join(sorted(codes.labels)) or 'none'}",
            field="labels",
        )
    chosen = np.array([label in set(labels) for label in codes.labels] + [True], dtype=bool)
    return np.flatnonzero(codes.attributed_R & chosen[codes.label_R])


def read_failures(log: RunLogReader, codes: RunCodes, row_R: np.ndarray) -> Failures:
    signatures: list[str | None] = []
    answers, questions, forms = [], [], []
    for line in log.lines(row_R):
        found = line_signature(line, prompt_messages(line))
        signatures.append(found.label if found else None)
        answers.append(words(line.answer))
        questions.append(line.question[:LONGEST])
        forms.append(form_of(line.answer))
    line_R = log.table(row_R, [LINE_NUMBER])[LINE_NUMBER].to_numpy()
    return Failures(row_R, line_R, codes.question_R[row_R], signatures, answers, questions, forms)


@dataclass(frozen=True)
class Compared:
    """What failures are compared by.

    topic_R: a code; kept: their words without their topics'; vector_R: of these words, without the direction that all share; plain_R: with it; leader_R: the failure that stands for its near-duplicates.
    """

    topic_R: np.ndarray
    kept: list[Kept]
    vector_R: np.ndarray
    plain_R: np.ndarray
    leader_R: np.ndarray

    def __getitem__(self, chosen: slice) -> Compared:
        return Compared(
            self.topic_R[chosen], self.kept[chosen], self.vector_R[chosen], self.plain_R[chosen], self.leader_R[chosen]
        )


@dataclass(frozen=True)
class Masked:
    """Answers without their topics' words. texts: the distinct ones, of which text_R says which is each failure's."""

    topic_R: np.ndarray
    kept: list[Kept]
    texts: list[str]
    text_R: np.ndarray


def mask(failures: Failures, embedder: Embedder, seed: int) -> Masked:
    """Questions are clustered first: what is said only on one topic is no way to fail. embedder: of the questions."""
    asked, of_asked = np.unique(np.array(failures.questions, dtype=object), return_inverse=True)
    vector_Q = embedder.vectors(list(asked))
    topic_R = _topics(vector_Q, seed)[of_asked]
    of_topics = topic_words(failures.answers, topic_R.tolist())
    kept = [
        without_topic(answer, question, of_topics)
        for answer, question in zip(failures.answers, failures.questions, strict=True)
    ]
    texts, text_R = np.unique(np.array([joined(each) for each in kept], dtype=object), return_inverse=True)
    return Masked(topic_R, kept, list(texts), text_R)


def compare(failures: Failures, embedder: Embedder, seed: int, topics_by: Embedder | None = None) -> Compared:
    """topics_by: of the questions, if not the same embedder as of the answers."""
    masked = mask(failures, topics_by or embedder, seed)
    plain_T = embedder.plain(masked.texts)
    vector_T = without_common(plain_T)
    first_T = np.full(len(masked.texts), len(failures))
    np.minimum.at(first_T, masked.text_R, np.arange(len(failures)))
    leader_R = first_T[leaders(vector_T, NEAR_DUPLICATE)[masked.text_R]]
    return Compared(masked.topic_R, masked.kept, vector_T[masked.text_R], plain_T[masked.text_R], leader_R)


def _topics(vectors: np.ndarray, seed: int) -> np.ndarray:
    """The topic of each question. Beyond MOST_QUESTIONS, evenly drawn, a question has the topic of the one nearest to it."""
    drawn = np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_QUESTIONS)).astype(np.int64)
    found = communities(vectors[drawn], leaders(vectors[drawn], NEAR_DUPLICATE), seed).of
    if len(drawn) == len(vectors):
        return found
    topics = np.empty(len(vectors), dtype=np.int64)
    topics[drawn] = found
    others = np.setdiff1d(np.arange(len(vectors)), drawn)
    topics[others] = found[nearest(vectors[drawn], 1, vectors[others])[0][:, 0]]
    return topics
