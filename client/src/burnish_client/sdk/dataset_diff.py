"""What is different between two dataset versions: rows, split, spec, counts. Used by `burnish dataset diff`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import Field

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen
from burnish.schemas.dataset import DatasetManifest
from burnish_client.sdk.curator import CuratorClient

RowKey = tuple[str, str]  # question id, source


class DatasetDiff(Frozen):
    """Rows are told apart by question and source (correction, logged, anchor)."""

    a: str
    b: str
    added: list[str] = Field(description="questions of the rows that only b has")
    removed: list[str] = Field(description="questions of the rows that only a has")
    changed: list[str] = Field(description="questions whose prompt or answer differs")
    moved: list[str] = Field(description="questions of rows in the other one of train and validation")
    held_out_added: list[str]
    held_out_removed: list[str]
    spec: dict[str, tuple[Any, Any]] = Field(description="field -> value in a, value in b")
    counts: dict[str, dict[str, tuple[int, int]]] = Field(
        description="rows, label, slice, provenance or left out -> name -> number in a, number in b; those that differ"
    )


def diff_datasets(client: CuratorClient, a: DatasetManifest, b: DatasetManifest) -> DatasetDiff:
    """Raises InvalidInputError for versions of two formats, whose rows cannot be compared."""
    if a.spec.format != b.spec.format:
        raise InvalidInputError(
            f"{a.name}@{a.version} is {a.spec.format} and {b.name}@{b.version} is {b.spec.format}: compare versions of one format"
        )
    before, after = _rows(client, a), _rows(client, b)
    both = before.keys() & after.keys()
    held_a, held_b = set(a.split.held_out), set(b.split.held_out)
    spec_a, spec_b = a.spec.model_dump(), b.spec.model_dump()
    return DatasetDiff(
        a=f"{a.name}@{a.version}",
        b=f"{b.name}@{b.version}",
        added=_questions(after.keys() - before.keys()),
        removed=_questions(before.keys() - after.keys()),
        changed=_questions(key for key in both if before[key][1] != after[key][1]),
        moved=_questions(key for key in both if before[key][0] != after[key][0]),
        held_out_added=sorted(held_b - held_a),
        held_out_removed=sorted(held_a - held_b),
        spec={name: (spec_a[name], spec_b[name]) for name in spec_a if spec_a[name] != spec_b[name]},
        counts=_counts(a, b),
    )


def _rows(client: CuratorClient, manifest: DatasetManifest) -> dict[RowKey, tuple[str, dict[str, Any]]]:
    """(question, source) -> (split, row)."""
    found = {}
    for split in ("train", "validation"):
        content = b"".join(client.export_dataset(manifest.name, manifest.version, "rows", split))
        for line in content.splitlines():
            row = orjson.loads(line)
            found[row["question_id"], row["source"]] = split, row
    return found


def _questions(keys: Iterable[RowKey]) -> list[str]:
    return sorted({question_id for question_id, _ in keys})


def _counts(a: DatasetManifest, b: DatasetManifest) -> dict[str, dict[str, tuple[int, int]]]:
    fields = {
        "label": (a.counts.by_label, b.counts.by_label),
        "slice": (a.counts.by_slice, b.counts.by_slice),
        "provenance": (a.counts.provenance, b.counts.provenance),
        "left out": (a.counts.discarded, b.counts.discarded),
    }
    of_rows = ("train", "validation", "held_out", "corrections", "anchors")
    numbers = {name: (getattr(a.counts, name), getattr(b.counts, name)) for name in of_rows}
    found = {"rows": {name: pair for name, pair in numbers.items() if pair[0] != pair[1]}}
    for field, (one, other) in fields.items():
        names = [*one, *(name for name in other if name not in one)]
        found[field] = {n: (one.get(n, 0), other.get(n, 0)) for n in names if one.get(n, 0) != other.get(n, 0)}
    return {field: pairs for field, pairs in found.items() if pairs}
