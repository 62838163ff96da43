"""What a person makes of a clustering: other names, one cluster of several, several of one. Every edit is a new version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from burnish.clustering.communities import communities
from burnish.clustering.failures import Compared, Failures
from burnish.clustering.finding import ALONE, SHOWN_CENTRAL, SHOWN_ODD, Draft, Found, describe
from burnish.embedding.vectors import unit
from burnish.errors import InvalidInputError, NotFoundError, PreconditionError
from burnish.schemas.clustering import Cluster, Edit


def check_edit(found: Found, edit: Edit, taken: Sequence[str]) -> list[int]:
    """Numbers of the clusters that the edit names. taken: the log's other labels, which a cluster cannot be called."""
    names = [cluster.name for cluster in found.clusters]
    for name in edit.clusters:
        if name not in names:
            raise NotFoundError(f"no cluster {name!r}: there are {', '.join(names) or 'none'}", cluster=name)
    numbers = sorted({names.index(name) for name in edit.clusters})
    if edit.kind == "merge" and len(numbers) < 2:
        raise InvalidInputError("merge takes two clusters at least", field="clusters")
    if edit.kind == "propose":
        _check_proposals(edit, {*names, *taken})
        return numbers
    if edit.kind != "merge" and len(numbers) > 1:
        raise InvalidInputError(f"{edit.kind} takes one cluster", field="clusters")
    if edit.kind == "rename" and edit.name is None:
        raise InvalidInputError("rename takes the new name", field="name")
    others = {name for number, name in enumerate(names) if number not in numbers}
    if edit.kind != "split" and edit.name in others:
        raise InvalidInputError(f"there is a cluster {edit.name!r} already: merge them to have one", field="name")
    if edit.kind != "split" and edit.name in taken:
        raise InvalidInputError(
            f"{edit.name!r} is a failure label that lines were logged with, which are other failures: take another name",
            field="name",
        )
    return numbers


def _check_proposals(edit: Edit, taken: set[str]) -> None:
    if len(edit.proposals) != len(edit.clusters) or len(set(edit.clusters)) != len(edit.clusters):
        raise InvalidInputError("propose takes one proposal for each cluster, and each cluster once", field="proposals")
    for proposal in edit.proposals:
        if proposal.label in taken:
            raise InvalidInputError(
                f"the proposed label {proposal.label!r} is taken by a cluster, by other lines, or twice: propose another",
                field="proposals",
            )
        taken = taken | {proposal.label}


def propose(found: Found, edit: Edit) -> Found:
    """Each proposal beside its cluster; those of other clusters stay."""
    of_name = dict(zip(edit.clusters, edit.proposals, strict=True))
    clusters = [
        cluster.model_copy(update={"proposed": of_name.get(cluster.name, cluster.proposed)})
        for cluster in found.clusters
    ]
    return replace(found, clusters=clusters)


def rename(found: Found, number: int, name: str) -> Found:
    clusters = list(found.clusters)
    clusters[number] = clusters[number].model_copy(update={"name": name, "proposed": None})
    return replace(found, clusters=clusters)


def merge(found: Found, numbers: Sequence[int], name: str | None, question_R: np.ndarray) -> Found:
    """name: default that of the largest. question_R: a code of each failure's question."""
    together = [found.clusters[number] for number in numbers]
    inside = np.isin(found.cluster_R, numbers)
    signatures = {cluster.signature for cluster in together}
    topics: Counter[str] = Counter()
    for cluster in together:
        topics.update(cluster.topics)
    merged = Cluster(
        name=name or together[0].name,
        signature=signatures.pop() if len(signatures) == 1 else None,
        size=int(inside.sum()),
        questions=len(np.unique(question_R[inside])),
        distinct=sum(cluster.distinct for cluster in together),
        known=all(cluster.known for cluster in together),
        topics=dict(topics.most_common()),
        phrases=list(dict.fromkeys(phrase for cluster in together for phrase in cluster.phrases[:1])),
        central=_in_turn([cluster.central for cluster in together])[:SHOWN_CENTRAL],
        odd=_in_turn([cluster.odd for cluster in together])[:SHOWN_ODD],
    )
    cluster_R = np.where(inside, numbers[0], found.cluster_R)
    clusters: list[Cluster | None] = list(found.clusters)
    for number in numbers:
        clusters[number] = None
    clusters[numbers[0]] = merged
    return by_size(replace(found, cluster_R=cluster_R), clusters)


def by_size(found: Found, clusters: Sequence[Cluster | None]) -> Found:
    """The clusters that are left, largest first, with the numbers that they have then."""
    left = [number for number, cluster in enumerate(clusters) if cluster is not None]
    size = {number: cluster.size for number in left if (cluster := clusters[number]) is not None}
    order = sorted(left, key=lambda number: (-size[number], number))
    renumbered = np.full(len(clusters) + 1, -1)
    renumbered[order] = np.arange(len(order))
    kept = [cluster for number in order if (cluster := clusters[number]) is not None]
    return replace(found, cluster_R=renumbered[found.cluster_R], clusters=kept)


def _in_turn(lists: Sequence[Sequence[int]]) -> list[int]:
    longest = max((len(each) for each in lists), default=0)
    return [each[i] for i in range(longest) for each in lists if i < len(each)]


def split(
    found: Found, number: int, parts: int, failures: Failures, compared: Compared, taken: Sequence[str], seed: int
) -> Found:
    """The cluster as at most `parts` of them, by its answers. PreconditionError if its answers are all alike."""
    members = np.flatnonzero(found.cluster_R == number)
    part_M = _divided(compared.vector_R[members], compared.leader_R[members], parts, seed)
    if part_M.max(initial=0) == 0:
        raise PreconditionError(
            f"the answers of {found.clusters[number].name!r} are too much alike to split, or too few", field="clusters"
        )
    kept = [cluster for other, cluster in enumerate(found.clusters) if other != number]
    number_R = np.full(len(failures), ALONE)
    number_R[members] = part_M
    drafts = [Draft(signature=found.clusters[number].signature) for _ in range(part_M.max() + 1)]
    names = [*taken, *(cluster.name for cluster in kept)]
    divided = describe(failures, compared, drafts, number_R, (found.topic_R, list(found.topics)), names)
    clusters: list[Cluster | None] = [*found.clusters, *divided.clusters]
    clusters[number] = None
    cluster_R = np.where(divided.cluster_R >= 0, divided.cluster_R + len(found.clusters), found.cluster_R)
    return by_size(replace(found, cluster_R=cluster_R), clusters)


def _divided(vectors: np.ndarray, leader: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """The part of each row: communities, of which the two most alike become one until there are few enough."""
    part = communities(vectors, leader, seed).of
    sums = [vectors[part == number].sum(axis=0) for number in range(part.max(initial=0) + 1)]
    group = list(range(len(sums)))
    while len(set(group)) > parts:
        left = sorted(set(group))
        middle = unit(np.array([sum(sums[i] for i in range(len(sums)) if group[i] == one) for one in left]))
        cosines = middle @ middle.T
        cosines[np.tril_indices(len(left))] = -2
        first, second = np.unravel_index(cosines.argmax(), cosines.shape)
        group = [left[first] if each == left[second] else each for each in group]
    _, number = np.unique(np.array(group), return_inverse=True)
    divided: np.ndarray = number[part]
    return divided
