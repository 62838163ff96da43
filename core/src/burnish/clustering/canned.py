"""Canned texts: one answer that is given to many questions, word for word or nearly so.

In a graph of few distinct answers such a text has neighbours only because it must have some, and would be put among these. So it is a cluster before the graph is made.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from burnish.clustering.failures import Compared, Failures

LEAST_TIMES, MOST_TIMES = 5, 200
SHARE = 0.04  # of the failures
ONE_TEXT = 0.5  # share of a group of near-duplicates with the same words of topics, numbers apart: else it is a pattern with a topic filled in
ALIKE = 0.8  # cosine of a variant, which has a name or a number of its own
OPENING_WORDS, OPENING_SHARE = 5, 0.5


def canned(failures: Failures, compared: Compared, members: np.ndarray, least_questions: int) -> list[np.ndarray]:
    """The members of each canned text, the commonest first. It is said in 4 % of the members, in five at least, and 200 are always enough."""
    needed = min(MOST_TIMES, max(LEAST_TIMES, SHARE * len(members)))
    _, first, node_M, times = np.unique(
        compared.leader_R[members], return_index=True, return_inverse=True, return_counts=True
    )
    vectors = compared.vector_R[members[first]]
    is_open = np.ones(len(first), dtype=bool)
    found = []
    for node in np.argsort(-times, kind="stable"):
        if times[node] < needed:
            break
        inside = members[node_M == node]
        if not is_open[node] or not _is_one_text(failures, compared, inside, least_questions):
            continue
        same = is_open & (vectors @ vectors[node] >= ALIKE)
        same[node] = True  # also if it has no word, and so no direction
        is_open &= ~same
        found.append(members[same[node_M]])
    return found


def _is_one_text(failures: Failures, compared: Compared, inside: np.ndarray, least_questions: int) -> bool:
    if len(np.unique(failures.question_R[inside])) < least_questions:
        return False
    filled = Counter(
        " ".join(
            word
            for word, kept in zip(failures.answers[i], compared.kept[i], strict=True)
            if kept is None and not any(sign.isdigit() for sign in word)
        )
        for i in inside
    )
    ((_, times),) = filled.most_common(1)
    return times >= ONE_TEXT * len(inside)


def opening(failures: Failures, inside: np.ndarray) -> str:
    """The first words of the commonest text that half of the answers have, too: what a canned text is called by, or a cluster without a telling phrase.

    Empty if there is no such word. What is said to one question alone may be a person's, and is no name.
    """
    ((common, _),) = Counter(tuple(failures.answers[i]) for i in inside).most_common(1)
    seen: Counter[str] = Counter()
    asked: dict[str, set[int]] = defaultdict(set)
    for i in inside:
        for word in set(failures.answers[i]):
            seen[word] += 1
            asked[word].add(int(failures.question_R[i]))
    least = OPENING_SHARE * len(inside)
    shared = [word for word in common if word[0].isalpha() and seen[word] >= least and len(asked[word]) > 1]
    return " ".join(shared[:OPENING_WORDS])
