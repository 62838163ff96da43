"""Groups of failures that are alike: canned texts first, then communities; and whether a signature is several of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.clustering.canned import canned
from burnish.clustering.communities import SUBSAMPLE_SHARE, SUBSAMPLES, communities, louvain_groups, neighbour_graph
from burnish.clustering.failures import Compared, Failures
from burnish.embedding.vectors import unit

LEAST_QUESTIONS = 3  # with fewer nothing repeats
MANY = 40  # failures with a signature, from which on it may be several ways to fail
LEAST_SHARE = 0.1  # of them, for a part
APART = 0.25  # cosine of the middles of two parts, above which they are one
STABLE = 0.7  # every part, else there are none


@dataclass(frozen=True)
class Group:
    """members: numbers of failures. stability: None for what no graph was made for."""

    members: np.ndarray
    stability: float | None = None
    canned: bool = False


def groups(failures: Failures, compared: Compared, members: np.ndarray, seed: int) -> list[Group]:
    """A failure that is like too few others is in none."""
    texts = canned(failures, compared, members, LEAST_QUESTIONS)
    found = [Group(inside, canned=True) for inside in texts]
    others = np.setdiff1d(members, np.concatenate([*texts, np.empty(0, dtype=np.int64)]))
    if not len(others):
        return found
    near = communities(compared.vector_R[others], compared.leader_R[others], seed)
    for community in np.unique(near.of):
        inside = others[near.of == community]
        if len(np.unique(failures.question_R[inside])) >= LEAST_QUESTIONS:
            found.append(Group(inside, float(near.stability[community])))
    return found


def parts_of_signature(failures: Failures, compared: Compared, members: np.ndarray, seed: int) -> list[Group]:
    """The failures with one signature: as a rule one group; several if they are many, apart from each other, and found again in subsamples.

    Vectors with the direction that all texts share: within a signature that direction says that they are one.
    """
    if len(members) < MANY:
        return [Group(members)]
    _, first, node_M, times = np.unique(
        compared.leader_R[members], return_index=True, return_inverse=True, return_counts=True
    )
    vectors = compared.plain_R[members[first]]
    graph = neighbour_graph(vectors)
    part = _parts(graph, vectors, times, seed)
    parts = np.unique(part)
    inside = [members[(part == each)[node_M]] for each in parts]
    repeats = all(len(np.unique(failures.question_R[each])) >= LEAST_QUESTIONS for each in inside)
    if len(parts) == 1 or not repeats:
        return [Group(members)]
    stability = _stability(graph, vectors, times, part, seed)
    if stability.min() < STABLE:
        return [Group(members)]
    return [Group(each, float(stable)) for each, stable in zip(inside, stability, strict=True)]


def _parts(graph: Any, vectors: np.ndarray, times: np.ndarray, seed: int) -> np.ndarray:
    """The part of each node: communities, of which those whose middles are alike become one, and so does a small one with what it is most like.

    times: how often each node's text was said.
    """
    part = louvain_groups(graph, seed)
    while True:
        numbers, place = np.unique(part, return_inverse=True)
        if len(numbers) == 1:
            return part
        sizes = np.bincount(place, weights=times)
        middles = np.zeros((len(numbers), vectors.shape[1]), dtype=np.float32)
        np.add.at(middles, place, vectors * times[:, None].astype(np.float32))
        middles = unit(middles)
        alike = middles @ middles.T
        np.fill_diagonal(alike, -2)
        first = int(sizes.argmin())
        second = int(alike[first].argmax())
        if sizes[first] >= LEAST_SHARE * sizes.sum():
            first, second = (int(i) for i in np.unravel_index(alike.argmax(), alike.shape))
            if alike[first, second] < APART:
                return part
        part[part == numbers[first]] = numbers[second]


def _stability(graph: Any, vectors: np.ndarray, times: np.ndarray, part: np.ndarray, seed: int) -> np.ndarray:
    """As of `communities`, of each part in the order of its number; a text counts as often as it was said."""
    dice, numbers = np.random.default_rng(seed), np.unique(part)
    total = np.zeros(len(numbers))
    for _ in range(SUBSAMPLES):
        kept = np.sort(dice.permutation(len(part))[: max(1, round(SUBSAMPLE_SHARE * len(part)))])
        again = _parts(graph[kept][:, kept], vectors[kept], times[kept], seed)
        for place, number in enumerate(numbers):
            mine, said = part[kept] == number, times[kept]
            total[place] += max(
                said[mine & (again == other)].sum() / max(1, said[mine | (again == other)].sum())
                for other in np.unique(again)
            )
    stability: np.ndarray = total / SUBSAMPLES
    return stability
