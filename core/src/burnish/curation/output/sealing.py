"""The files of a dataset version and the manifest that names them: of a new one, and of one that some rows leave."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from burnish.curation.lengths import Lengths
from burnish.digests import dataset_version, sha256_hex
from burnish.jsonl import to_jsonl
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.dataset import DatasetManifest, DpoRow, KtoRow, RowOrigin, SftRow, Split

Row = SftRow | DpoRow | KtoRow
TRAIN = "train.jsonl"
VALIDATION = "validation.jsonl"
CARD = "README.md"
LEFT_OUT = "left-out.jsonl"
_ENVIRONMENT = Environment(
    loader=PackageLoader("burnish.curation.output", "."),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Markdown; names and labels are the user's own
)


@dataclass(frozen=True)
class BuiltDataset:
    """A version ready to be stored: upload `files` (name -> bytes), then the manifest."""

    manifest: DatasetManifest
    files: dict[str, bytes]


def without_rows(
    manifest: DatasetManifest,
    kept: tuple[Sequence[Row], Sequence[Row]],
    left_out: bytes,
    questions: Collection[str],
    lengths: Lengths,
) -> BuiltDataset:
    """A version of the kept rows (of training and validation) alone, made from the one that had more.

    questions: those that leave its split, and left_out, the lines of its LEFT_OUT (empty if it has none).
    """
    rows = [*kept[0], *kept[1]]
    old = manifest.split.model_dump()
    split = Split(**{name: [one for one in ids if one not in questions] for name, ids in old.items()})
    files = {TRAIN: to_jsonl(kept[0]), VALIDATION: to_jsonl(kept[1])}
    lines = [line for line in left_out.splitlines() if not set(orjson.loads(line).values()) & set(questions)]
    if left_out:
        files[LEFT_OUT] = b"".join(line + b"\n" for line in lines)
    counts = manifest.counts.model_copy(
        update={
            "corrections": sum(row.source == "correction" for row in rows),
            "preferences": sum(row.source == "preference" for row in rows),
            "anchors": len(split.anchors),
            "train": len(kept[0]),
            "validation": len(kept[1]),
            "held_out": len(split.held_out),
            # by question these are not kept, so of fewer questions they are not known
            "by_label": {},
            "by_slice": {},
            "effective_clusters": None,
            "provenance": {},
            "grader_verified": None,
        }
    )
    changed = {
        "version": dataset_version(files[TRAIN], files[VALIDATION], manifest.spec.model_dump(), split.model_dump()),
        "created_at": datetime.now(UTC),
        "counts": counts,
        "split": split,
        "origins": _without(manifest.origins, {row.question_id for row in rows}),
        "lengths": lengths.summary(measure(rows, lengths)),
        "parents": [*manifest.parents, Parent(kind="dataset", name=manifest.name, digest=manifest.version)],
    }
    return with_files(manifest.model_copy(update=changed), files)


def _without(origins: Sequence[RowOrigin], kept: Collection[str]) -> list[RowOrigin]:
    """Of the kept questions alone."""
    found = [
        origin.model_copy(update={"questions": [one for one in origin.questions if one in kept]}) for origin in origins
    ]
    return [origin for origin in found if origin.questions]


def with_files(manifest: DatasetManifest, files: dict[str, bytes]) -> BuiltDataset:
    files = files | {CARD: _dataset_card(manifest).encode()}
    entries = [FileEntry(path=name, size_bytes=len(data), sha256=sha256_hex(data)) for name, data in files.items()]
    return BuiltDataset(manifest.model_copy(update={"files": entries}), files)


def measure(rows: Sequence[Row], lengths: Lengths) -> list[int]:
    """Prompt with completion; for a pair the longer of the two, which is what a length limit must allow for."""
    endings = [[row.chosen, row.rejected] if isinstance(row, DpoRow) else [row.completion] for row in rows]
    flat = lengths.measure([[*row.prompt, *end] for row, ends in zip(rows, endings, strict=True) for end in ends])
    measured = iter(flat)
    return [max(next(measured) for _ in ends) for ends in endings]


def _dataset_card(manifest: DatasetManifest) -> str:
    """README.md of the version, for a person who meets the folder; without a date, so that the same version has the same card."""
    counts = manifest.counts
    unwanted = counts.train + counts.validation - counts.corrections - counts.anchors - counts.preferences
    share = round(100 * manifest.counts.held_out / len(manifest.split.targeted))
    template = _ENVIRONMENT.get_template("dataset_card.md.jinja")
    return template.render(m=manifest, wanted_anchors=counts.anchors_wanted or 0, unwanted=unwanted, share=share)
