"""Of what a dataset version is made: labels, slices, and who wrote the answers. Called by `burnish.curation.build`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import exp, log
from typing import Any

from burnish.curation.rows import Rows
from burnish.curation.targets import Example
from burnish.diagnosis.clusters import NO_SLICE

OWN_ANSWERS = {
    "anchor": "the model's own passing answers",
    "logged": "the model's own wrong answers, as unwanted",
    "preference": "answers that were there, chosen or rated by a person",
}


def composition(trained: Sequence[Example], rows: Rows) -> dict[str, Any]:
    """Fields of DatasetCounts."""
    by_label = Counter(example.label for example in trained)
    sources = Counter(OWN_ANSWERS[row.source] for row in rows.all if row.source in OWN_ANSWERS)
    sources.update(example.provenance for example in trained if example.correction is not None)
    return {
        "by_label": _most_first(by_label),
        "by_slice": _most_first(Counter(example.slice or NO_SLICE for example in trained)),
        "effective_clusters": effective_number(by_label.values()),
        "provenance": _most_first(sources),
        "grader_verified": sum(example.is_verified for example in trained),
    }


def effective_number(sizes: Iterable[int]) -> float:
    """exp of the Shannon entropy of the shares: k groups of one size give k. 0 if there is nothing."""
    counts = [size for size in sizes if size]
    total = sum(counts)
    return exp(-sum(size / total * log(size / total) for size in counts)) if total else 0.0


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
