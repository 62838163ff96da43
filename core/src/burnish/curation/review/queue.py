"""The order in which people review: one of each kind of failure first, then what its grader was unsure of, then the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from burnish.curation.review.items import first_failures
from burnish.diagnosis.clusters import RunCodes
from burnish.runlogs.reader import RunLogReader

MODEL_DOUBT = 0.5  # of a model's grade that states no confidence


def queue_rows(log: RunLogReader, codes: RunCodes, labels: Sequence[str], slices: Sequence[str] = ()) -> np.ndarray:
    """The row shown for each question that failed under these labels (and slices; empty: all), in the order of review.

    A kind is a label with a slice; of each the first question comes first, the largest kind before the others. Then come
    grades of low confidence, the least first: a model's without a confidence counts as 0.5, a person's and code's as 1.
    """
    rows = first_failures(codes, labels, slices)
    if not len(rows):
        return rows
    kind = codes.label_R[rows] * (len(codes.slices) + 1) + codes.slice_R[rows]
    _, first, sizes = np.unique(kind, return_index=True, return_counts=True)
    rank = np.full(len(rows), len(rows))  # a first of its kind has the place of its kind
    rank[first] = np.argsort(np.lexsort((first, -sizes)))
    ordered: np.ndarray = rows[np.lexsort((rows, -_doubts(log)[rows], rank))]
    return ordered


def _doubts(log: RunLogReader) -> np.ndarray:
    """1 - the confidence of each row's grade."""
    column = log.columns(["graded_by"])["graded_by"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    encoded = column.dictionary_encode()
    doubts = np.array([*map(_doubt, encoded.dictionary.to_pylist()), 0.0])
    found: np.ndarray = doubts[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    return found


def _doubt(graded_by_json: str) -> float:
    graded_by = orjson.loads(graded_by_json)
    confidence = graded_by.get("confidence")
    if isinstance(confidence, int | float):
        return 1.0 - float(confidence)
    return MODEL_DOUBT if graded_by.get("source") == "model" else 0.0
