"""Words of answers and questions, and which of an answer's words belong to its topic rather than to the way it fails."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

WORD = re.compile(r"\w+|[^\w\s]+|\n")
LONGEST = 4000  # characters of a text that are looked at
OWN_SHARE = 0.5  # of a topic's word: the share of its answers that are of one topic
LIFT = 3.0  # and how much more often it is there than by chance
FEW = 200  # answers, below which a word of two answers counts
SHORT_WORD = 3  # letters; such a word of the question may stand in the answer without being taken from it
Kept = list[str | None]


def words(text: str) -> list[str]:
    """Words, runs of other signs, and line ends, case folded."""
    return WORD.findall(text[:LONGEST].casefold())


def topic_words(answers: Sequence[Sequence[str]], topics: Sequence[int]) -> set[str]:
    """Words that most often stand in answers on one topic, and words too rare to repeat."""
    seen: Counter[str] = Counter()
    of_topic: dict[str, Counter[int]] = defaultdict(Counter)
    for answer, topic in zip(answers, topics, strict=True):
        for word in set(answer):
            seen[word] += 1
            of_topic[word][topic] += 1
    sizes, rare = Counter(topics), 2 if len(answers) < FEW else 3
    found = set()
    for word, count in seen.items():
        topic, most = of_topic[word].most_common(1)[0]
        share = most / count
        if count < rare or (share > OWN_SHARE and share * len(answers) > LIFT * sizes[topic]):
            found.add(word)
    return found


def without_topic(answer: Sequence[str], question: str, of_topics: set[str]) -> Kept:
    """The answer's words, with None for each that the question has or that is a topic's. An answer of such words alone is kept whole."""
    asked = {word for word in words(question) if len(word) > SHORT_WORD}
    kept: Kept = [None if word in of_topics or word in asked else word for word in answer]
    return kept if any(word and word[0].isalnum() for word in kept) else list(answer)


def joined(kept: Kept) -> str:
    return " ".join(word for word in kept if word is not None)
