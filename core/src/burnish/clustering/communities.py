"""Groups of vectors that are near each other: a graph of nearest neighbours, and Louvain's communities in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.embedding.neighbours import nearest
from burnish.extras import Late

sparse = Late("scipy.sparse")
louvain = Late("sknetwork.clustering")
NEIGHBOURS = 20
NEAR_DUPLICATE = 0.95  # cosine
LEAST_COSINE = 0.2  # of an edge: below it two texts have nothing in common
SUBSAMPLES = 5
SUBSAMPLE_SHARE = 0.8


@dataclass(frozen=True)
class Communities:
    """of: the community of each row. stability: of each community, 0 to 1."""

    of: np.ndarray
    stability: np.ndarray


def communities(vectors: np.ndarray, leader: np.ndarray, seed: int) -> Communities:
    """leader: of each row one that stands for it and its near-duplicates; equal for all of these.

    Near-duplicates are one node of the graph, so that a sentence said a thousand times is no community by itself.

    stability: the mean, over five subsamples of 80 % of the nodes, of the largest Jaccard similarity that a community of the subsample has with it.
    Source: Hennig 2007, "Cluster-wise assessment of cluster stability". The same vectors and seed give the same communities.
    """
    _, nodes, node_of = np.unique(leader, return_index=True, return_inverse=True)
    graph = neighbour_graph(vectors[nodes])
    of_node = louvain_groups(graph, seed)
    return Communities(of_node[node_of], _stability(graph, of_node, seed))


def neighbour_graph(vectors: np.ndarray) -> Any:
    """Edges between nearest neighbours, either way, weighted by their cosine."""
    indices, cosines = nearest(vectors, NEIGHBOURS)
    rows = np.repeat(np.arange(len(vectors)), indices.shape[1])
    near = cosines.ravel() >= LEAST_COSINE
    graph = sparse.csr_matrix(
        (cosines.ravel()[near], (rows[near], indices.ravel()[near])), shape=(len(vectors), len(vectors))
    )
    return (graph + graph.T).tocsr()


def louvain_groups(graph: Any, seed: int) -> np.ndarray:
    """The community of each node."""
    if graph.nnz == 0:
        return np.arange(graph.shape[0])
    found: np.ndarray = louvain.Louvain(random_state=seed, shuffle_nodes=False).fit_predict(graph)
    return found.astype(np.int64)


def _stability(graph: Any, of_node: np.ndarray, seed: int) -> np.ndarray:
    dice = np.random.default_rng(seed)
    count = int(of_node.max(initial=-1)) + 1
    total, times = np.zeros(count), np.zeros(count)
    for _ in range(SUBSAMPLES):
        kept = np.sort(dice.permutation(len(of_node))[: max(1, round(SUBSAMPLE_SHARE * len(of_node)))])
        again = louvain_groups(graph[kept][:, kept], seed)
        whole = of_node[kept]
        shared = np.zeros((count, int(again.max()) + 1))
        np.add.at(shared, (whole, again), 1)
        sizes, other = shared.sum(axis=1), shared.sum(axis=0)
        jaccard = shared / np.maximum(sizes[:, None] + other[None] - shared, 1)
        total += jaccard.max(axis=1)
        times += sizes > 0
    stability: np.ndarray = total / np.maximum(times, 1)
    return stability
