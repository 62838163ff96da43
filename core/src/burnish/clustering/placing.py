"""Puts the failures of a new run log into the clusters of an older one, where they are like these; the others are clustered anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from burnish.clustering.embedding import Embedder
from burnish.clustering.failures import Compared, Failures, compare
from burnish.clustering.finding import ALONE, Draft, Found, add, describe, topics_of
from burnish.clustering.neighbours import nearest
from burnish.errors import PreconditionError

ASKED = 5  # neighbours of a failure
STRICTNESS = 5  # percent of a cluster's own failures that are no more like it than what is still put into it


def place(
    new: Failures, old: Failures, known: Found, embedder: Embedder, seed: int, taken: Iterable[str] = ()
) -> Found:
    """A clustering of `new`. old: the failures of `known`, in its order.

    A failure with a signature goes where most of that signature went. Another goes to the cluster of its five nearest neighbours, weighted by their
    cosines, if it is as much like them as 95 % of that cluster's own failures are like their neighbours there.
    """
    if not len(new):
        raise PreconditionError("every failure of the model has a label already, or there is none")
    both = old + new
    compared = compare(both, embedder, seed)
    placed_N = _placed(both, compared, known.cluster_R)
    numbers = [number for number in range(len(known.clusters)) if (placed_N == number).any()]
    drafts = [
        Draft(name=known.clusters[number].name, signature=known.clusters[number].signature, known=True)
        for number in numbers
    ]
    number_N = np.full(len(new), ALONE)
    for position, number in enumerate(numbers):
        number_N[placed_N == number] = position
    of_new = Compared(
        compared.topic_R[len(old) :],
        compared.kept[len(old) :],
        compared.vector_R[len(old) :],
        compared.leader_R[len(old) :],
    )
    add(new, of_new, np.flatnonzero(number_N == ALONE), drafts, number_N, seed)
    names = [*taken, *(cluster.name for cluster in known.clusters)]
    return describe(new, of_new, drafts, number_N, topics_of(new, of_new), names)


def _placed(both: Failures, compared: Compared, cluster_O: np.ndarray) -> np.ndarray:
    """The known cluster of each new failure, or ALONE."""
    count = len(cluster_O)
    signatures = both.signatures[count:]
    of_signature: dict[str, Counter[int]] = {}
    for signature, cluster in zip(both.signatures, cluster_O.tolist(), strict=False):
        if signature is not None and cluster >= 0:
            of_signature.setdefault(signature, Counter())[cluster] += 1
    placed = np.array([_most(of_signature.get(signature or "")) for signature in signatures], dtype=np.int64)
    plain_O = np.array([both.signatures[i] is None for i in range(count)], dtype=bool) & (cluster_O >= 0)
    asking = np.flatnonzero([signature is None for signature in signatures])
    if plain_O.any() and len(asking):
        vectors, own = compared.vector_R[:count][plain_O], cluster_O[plain_O]
        indices, cosines = nearest(vectors, ASKED)
        likeness = (cosines * (own[indices] == own[:, None])).mean(axis=1) if indices.size else np.ones(len(own))
        least = {int(number): np.percentile(likeness[own == number], STRICTNESS) for number in np.unique(own)}
        indices, cosines = nearest(vectors, ASKED, compared.vector_R[count:][asking])
        for row, near, cosine in zip(asking.tolist(), own[indices], cosines, strict=True):
            votes = {int(number): float(cosine[near == number].sum()) for number in np.unique(near)}
            number = max(sorted(votes), key=lambda each: votes[each])
            if votes[number] / len(near) >= least[number]:
                placed[row] = number
    return placed


def _most(counted: Counter[int] | None) -> int:
    return counted.most_common(1)[0][0] if counted else ALONE
