"""Exact nearest neighbours and near-duplicates of unit vectors, by blocks, so that memory grows with N and not with its square."""

from __future__ import annotations

import numpy as np

BLOCK = 1024
FOLDS = 16


def nearest(vectors: np.ndarray, count: int, queries: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(indices, cosines), each (Q, count), of the rows of `vectors` most like each query; unordered.

    Without queries the rows themselves are asked, and none is its own neighbour. count is cut to the rows there are.

    A block's cosines are folded into sixteen layers first: the best `count` are in the `count` columns with the largest maximum, so only those are
    looked at, and nothing is missed.
    """
    asked = vectors if queries is None else queries
    count = min(count, len(vectors) - (queries is None))
    indices = np.zeros((len(asked), max(count, 0)), dtype=np.int32)
    cosines = np.zeros((len(asked), max(count, 0)), dtype=np.float32)
    if count <= 0:
        return indices, cosines
    for start in range(0, len(asked), BLOCK):
        block = asked[start : start + BLOCK] @ vectors.T
        rows = np.arange(len(block))
        if queries is None:
            block[rows, rows + start] = -2
        found = _best(block, count)
        indices[start : start + len(block)] = found
        cosines[start : start + len(block)] = np.take_along_axis(block, found, axis=1)
    return indices, cosines


def _best(block: np.ndarray, count: int) -> np.ndarray:
    """The columns of the `count` largest values of each row."""
    width = block.shape[1] // FOLDS
    if width <= count:
        return np.argpartition(-block, count - 1, axis=1)[:, :count]
    layers = block[:, : width * FOLDS].reshape(len(block), FOLDS, width).max(axis=1)
    columns = np.argpartition(-layers, count - 1, axis=1)[:, :count]
    spread = (columns[:, :, None] + width * np.arange(FOLDS)).reshape(len(block), -1)
    rest = np.broadcast_to(np.arange(width * FOLDS, block.shape[1]), (len(block), block.shape[1] - width * FOLDS))
    candidates = np.concatenate([spread, rest], axis=1)
    values = np.take_along_axis(block, candidates, axis=1)
    best = np.argpartition(-values, count - 1, axis=1)[:, :count]
    return np.take_along_axis(candidates, best, axis=1)


def leaders(vectors: np.ndarray, least: float) -> np.ndarray:
    """For each row the row that stands for it: the first one whose cosine with it is at least `least`, which may be itself."""
    stands = np.full(len(vectors), -1, dtype=np.int64)
    chosen = np.empty_like(vectors)
    numbers = np.empty(len(vectors), dtype=np.int64)
    count = 0
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        mine = stands[start : start + len(block)]
        if count:
            cosines = block @ chosen[:count].T
            best = cosines.argmax(axis=1)
            near = cosines[np.arange(len(block)), best] >= least
            mine[near] = numbers[best[near]]
        open_rows = np.flatnonzero(mine < 0)
        among = block[open_rows] @ block[open_rows].T >= least
        for position, row in enumerate(open_rows):
            if mine[row] < 0:
                mine[row] = start + row
                alike = open_rows[among[position]]
                mine[alike[mine[alike] < 0]] = start + row
                chosen[count], numbers[count] = block[row], start + row
                count += 1
    return stands
