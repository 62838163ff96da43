"""One piece of work on a run log, from local files to local files: find, put into known clusters, or split. `python -m burnish.clustering.working TASK`.

The curator runs it as a process of its own, so that what it holds is given back, and the curator goes on answering meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import orjson

from burnish.clustering.edits import check_edit, split
from burnish.clustering.failures import compare, failing_rows, mask, read_failures
from burnish.clustering.finding import Found, find
from burnish.clustering.placing import place
from burnish.clustering.storage import ROWS, read_rows, seal
from burnish.diagnosis import read_codes
from burnish.embedding.vectors import Embedder, Given, WordLlama
from burnish.errors import BurnishError
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Frozen
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec, Edit

MANIFEST, PROBLEM, TEXTS = "manifest.json", "problem.json", "texts.jsonl"


class Stored(Frozen):
    """A clustering that is used: the parts of its run log, its manifest, and the file that has its rows."""

    parts: list[Path]
    manifest: ClusteringManifest
    rows: Path

    def found(self, log: RunLogReader) -> Found:
        return read_rows(self.rows.read_bytes(), self.manifest, log)


class Task(Frozen):
    """known: of another run log, into whose clusters failures are put. edit: a split of `edited`.

    vectors: a file of vectors that the embedder called `embedder` gave. texts_alone: only the texts that it would have to embed.
    """

    run_log_id: str
    parts: list[Path]
    spec: ClusteringSpec
    known: Stored | None = None
    edited: Stored | None = None
    edit: Edit | None = None
    embedder: str | None = None
    vectors: Path | None = None
    texts_alone: bool = False
    folder: Path


def work(task: Task) -> None:
    """Write MANIFEST and ROWS into the folder, or TEXTS. Raises BurnishError."""
    log = RunLogReader(task.parts)
    codes = read_codes(log)
    own = WordLlama()
    embedder: Embedder = Given(task.embedder or "", task.vectors) if task.vectors else own
    if task.texts_alone:
        failures = read_failures(log, codes, failing_rows(codes, task.spec.labels))
        texts = mask(failures, own, task.spec.seed).texts if len(failures) else []
        (task.folder / TEXTS).write_bytes(b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts))
        return
    if task.edited is not None and task.edit is not None:
        parent: ClusteringManifest | None = task.edited.manifest
        before = task.edited.found(log)
        taken = other_labels(codes.labels, task.spec)
        (number,) = check_edit(before, task.edit, taken)
        failures = read_failures(log, codes, before.row_R)
        compared = compare(failures, embedder, task.spec.seed)
        found = split(before, number, task.edit.parts, failures, compared, taken, task.spec.seed)
    else:
        parent = task.known.manifest if task.known else None
        failures = read_failures(log, codes, failing_rows(codes, task.spec.labels))
        taken = other_labels(codes.labels, task.spec)
        if task.known is None:
            found = find(failures, embedder, task.spec.seed, taken, topics_by=own)
        else:
            old = RunLogReader(task.known.parts)
            known = task.known.found(old)
            olds = read_failures(old, read_codes(old), known.row_R)
            found = place(failures, olds, known, embedder, task.spec.seed, taken)
    reference = task.edited.manifest.embedder if task.edited else embedder.reference
    manifest, rows = seal(task.run_log_id, task.spec, reference, found, parent, task.edit)
    (task.folder / ROWS).write_bytes(rows)
    (task.folder / MANIFEST).write_text(manifest.model_dump_json())


def other_labels(labels: list[str], spec: ClusteringSpec) -> list[str]:
    """Labels that lines were logged with and keep."""
    return [label for label in labels if label not in spec.labels]


def main(path: Path) -> int:
    np.seterr(all="ignore")
    task = Task.model_validate_json(path.read_bytes())
    try:
        work(task)
    except BurnishError as error:
        (task.folder / PROBLEM).write_bytes(orjson.dumps(error.to_dict()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
