"""Makes clusterings and edits them. What needs vectors runs in a process of its own (`burnish.clustering.working`)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import orjson

from burnish.clustering.edits import check_edit, merge, propose, rename
from burnish.clustering.storage import ROWS, seal
from burnish.clustering.working import MANIFEST, PROBLEM, TEXTS, Stored, Task, other_labels
from burnish.errors import ConflictError, InvalidInputError, UnavailableError, from_dict
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec, Edit
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.manifests import LATEST
from burnish_curator.runlogs.repository import RunLogRepository

LIMIT_SECONDS = 1800


class ClusteringService:
    """Thread-safe. spool: a folder for the files of a piece of work. One clustering is made at a time."""

    def __init__(self, run_logs: RunLogRepository, clusterings: ClusteringRepository, spool: Path) -> None:
        self._run_logs = run_logs
        self._clusterings = clusterings
        self._spool = spool
        self._working = Lock()

    def make(self, run_log_id: str, spec: ClusteringSpec) -> ClusteringManifest:
        """The same spec on the same run log gives the same version, which is then returned as it is."""
        log = self._run_logs.open(run_log_id, None)
        with self._working, tempfile.TemporaryDirectory(dir=self._spool) as folder:
            known = self._stored(*self._reference(spec.like), Path(folder)) if spec.like else None
            task = Task(run_log_id=run_log_id, parts=log.parts, spec=spec, known=known, folder=Path(folder))
            return self._done(task)

    def texts(self, run_log_id: str, spec: ClusteringSpec) -> bytes:
        """JSONL of the texts that another embedder has to give vectors to, for `embedded`."""
        log = self._run_logs.open(run_log_id, None)
        with self._working, tempfile.TemporaryDirectory(dir=self._spool) as folder:
            self._run(Task(run_log_id=run_log_id, parts=log.parts, spec=spec, texts_alone=True, folder=Path(folder)))
            return (Path(folder) / TEXTS).read_bytes()

    def embedded(
        self, run_log_id: str, spec: ClusteringSpec, embedder: str, chunks: Iterator[bytes]
    ) -> ClusteringManifest:
        """As `make`, by vectors that an embedder of this name gave to `texts`: JSONL of text and vector."""
        log = self._run_logs.open(run_log_id, None)
        with tempfile.TemporaryDirectory(dir=self._spool) as folder:
            vectors = Path(folder) / "vectors.jsonl"
            with vectors.open("wb") as handle:
                for chunk in chunks:
                    handle.write(chunk)
            task = Task(
                run_log_id=run_log_id,
                parts=log.parts,
                spec=spec,
                embedder=embedder,
                vectors=vectors,
                folder=Path(folder),
            )
            with self._working:
                return self._done(task)

    def edit(self, run_log_id: str, version: str, edit: Edit) -> ClusteringManifest:
        """A new version, made from this one, which must be the one that stands: ConflictError if it was changed meanwhile."""
        with self._working:
            before = self._clusterings.find(run_log_id, version)
            standing = self._clusterings.standing(run_log_id)
            if standing is not None and standing.version != before.version:
                raise ConflictError(
                    f"clustering {before.version} of run log {run_log_id} is not the newest, {standing.version} is: look at "
                    "that one and edit it, or remove it",
                    standing=standing.version,
                )
            log = self._run_logs.open(run_log_id, None)
            if edit.kind == "split":
                with tempfile.TemporaryDirectory(dir=self._spool) as folder:
                    edited = self._stored(run_log_id, before.version, Path(folder))
                    task = Task(
                        run_log_id=run_log_id,
                        parts=log.parts,
                        spec=before.spec,
                        edited=edited,
                        edit=edit,
                        folder=Path(folder),
                    )
                    return self._done(task)
            found = self._clusterings.found(before, log.reader)
            numbers = check_edit(found, edit, other_labels(log.codes.labels, before.spec))
            if edit.kind == "rename":
                after = rename(found, numbers[0], edit.name or "")
            elif edit.kind == "propose":
                after = propose(found, edit)
            else:
                after = merge(found, numbers, edit.name, log.codes.question_R[found.row_R])
            return self._clusterings.save(*seal(run_log_id, before.spec, before.embedder, after, before, edit))

    def _done(self, task: Task) -> ClusteringManifest:
        """Runs the task and stores what came of it. Raises the BurnishError that stopped it."""
        self._run(task)
        manifest = ClusteringManifest.model_validate_json((task.folder / MANIFEST).read_bytes())
        return self._clusterings.save(manifest, (task.folder / ROWS).read_bytes())

    def _run(self, task: Task) -> None:
        file = task.folder / "task.json"
        file.write_text(task.model_dump_json())
        command = [sys.executable, "-m", "burnish.clustering.working", str(file)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=LIMIT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"run log {task.run_log_id} was not clustered in {LIMIT_SECONDS // 60} minutes: cluster fewer failures"
            ) from error
        problem = task.folder / PROBLEM
        if problem.is_file():
            raise from_dict(orjson.loads(problem.read_bytes()))
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"clustering ended with {done.returncode}: {' | '.join(said[-5:])}")

    def _reference(self, reference: str) -> tuple[str, str]:
        run_log_id, _, version = reference.partition("/")
        if not run_log_id:
            raise InvalidInputError(
                f"like {reference!r}: give run log/version, or a run log for its newest", field="like"
            )
        return run_log_id, version or LATEST

    def _stored(self, run_log_id: str, version: str, folder: Path) -> Stored:
        manifest = self._clusterings.find(run_log_id, version)
        rows = folder / "stored-rows.parquet"
        rows.write_bytes(self._clusterings.rows(manifest))
        return Stored(parts=self._run_logs.open(run_log_id, None).parts, manifest=manifest, rows=rows)
