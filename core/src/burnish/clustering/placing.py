"""Puts the failures of a new run log into the clusters of an older one, where they are like these; the others are clustered anew."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from burnish.clustering.failures import Compared, Failures, compare
from burnish.clustering.finding import ALONE, Draft, Found, add, describe, topics_of
from burnish.embedding.neighbours import nearest
from burnish.embedding.vectors import Embedder
from burnish.errors import PreconditionError

ASKED = 5  # neighbours of a failure
STRICTNESS = 5  # percent of a cluster's own failures that are no more like it than what is still put into it


def place(
    new: Failures, old: Failures, known: Found, embedder: Embedder, seed: int, taken: Iterable[str] = ()
) -> Found:
    """A clustering of `new`. old: the failures of `known`, in its order.

    A failure with a signature goes to the cluster of its nearest neighbours with that signature, however far. Another goes to the cluster of its five nearest neighbours, weighted by their
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
    of_new = compared[len(old) :]
    add(new, of_new, np.flatnonzero(number_N == ALONE), drafts, number_N, seed)
    names = [*taken, *(cluster.name for cluster in known.clusters)]
    return describe(new, of_new, drafts, number_N, topics_of(new, of_new), names)


def _placed(both: Failures, compared: Compared, cluster_O: np.ndarray) -> np.ndarray:
    """The known cluster of each new failure, or ALONE."""
    count = len(cluster_O)
    new = np.array(["" if each is None else each for each in both.signatures[count:]])
    old = np.array(["" if each is None else each for each in both.signatures[:count]])
    placed = np.full(len(new), ALONE)
    for signature in np.unique(new):
        query, known = np.flatnonzero(new == signature), (old == signature) & (cluster_O >= 0)
        if not known.any():
            continue
        vector_R = compared.plain_R if signature else compared.vector_R
        voted, likeness, least = _voted(vector_R[:count][known], cluster_O[known], vector_R[count:][query])
        is_near = True if signature else likeness >= least
        placed[query] = np.where(is_near, voted, ALONE)
    return placed


def _voted(known: np.ndarray, cluster_K: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each query: the cluster of its neighbours, how much like these it is, and how much nearly all of the cluster's own are like theirs."""
    numbers = np.unique(cluster_K)
    indices, cosines = nearest(known, ASKED)
    likeness = (
        (cosines * (cluster_K[indices] == cluster_K[:, None])).mean(axis=1) if indices.size else np.ones(len(known))
    )
    least = np.array([np.percentile(likeness[cluster_K == number], STRICTNESS) for number in numbers])
    indices, cosines = nearest(known, ASKED, query)
    votes = np.stack([(cosines * (cluster_K[indices] == number)).sum(axis=1) for number in numbers], axis=1)
    best = votes.argmax(axis=1)
    return numbers[best], votes[np.arange(len(query)), best] / indices.shape[1], least[best]
