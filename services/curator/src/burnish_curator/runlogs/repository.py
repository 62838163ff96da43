"""Run logs in the object store, with their parts cached on local disk. Parts are immutable, so a cached one is never stale."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import anyio
import numpy as np
import pyarrow as pa

from burnish import layout
from burnish.clustering.storage import given_labels
from burnish.diagnosis import check_slices, diagnose, read_codes
from burnish.errors import InvalidInputError, UnavailableError
from burnish.files import mark_used, trim
from burnish.machine import disk
from burnish.objectstores.verified import fetch_verified
from burnish.ports import ObjectStore
from burnish.runlogs.ingestion import ingest
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of, publish
from burnish.schemas.base import FileEntry, Listing
from burnish.schemas.clustering import ClusteringManifest
from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogManifest
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.manifests import Manifests
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.settings import MORE_ROOM

OPEN_LOGS = 4
CACHE_BYTES = 20 * 1024**3
IN_USE_SECONDS = 600  # a request that still reads a run log opened it within them
IMPORTS_AT_ONCE = 2  # each holds about 150 MB
NAME_CHARACTERS = 200
STANDING = "standing"  # the newest clustering of a run log, if it has one

log = logging.getLogger(__name__)


class OpenRunLog:
    """A run log ready to be queried; `codes` are the columns that every question needs. Immutable.

    parts: its files on this disk. clustering: the version that gave rows their labels, if one did.
    """

    def __init__(self, run_log_id: str, reader: RunLogReader, parts: Sequence[Path], clustering: str | None) -> None:
        self.id = run_log_id
        self.reader = reader
        self.parts = list(parts)
        self.clustering = clustering
        self.codes = read_codes(reader)

    def find(self, label: str | None = None, grade: str | None = None, **among: Collection[Any] | None) -> np.ndarray:
        """Indices of the rows with this failure label and grade (None: any). InvalidInputError for one that no row has.

        among: column -> values of which a row has one; None: any.
        """
        for name, value, known in (("label", label, self.codes.labels), ("grade", grade, self.grades)):
            if value is not None and value not in known:
                raise InvalidInputError(
                    f"no row of run log {self.id} has {name} {value!r}; there are {', '.join(known) or 'none'}",
                    field=name,
                )
        among |= {"failure_label": None if label is None else [label], "grade": None if grade is None else [grade]}
        return self.reader.find(**{name: values for name, values in among.items() if values})

    @cached_property
    def grades(self) -> list[str]:
        grades = self.reader.columns(["grade"])["grade"].cast(pa.string()).unique().to_pylist()
        return sorted(grade for grade in grades if grade is not None)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        return diagnose(self.id, self.reader, self.codes)

    def diagnosis_of(self, slices: Sequence[str]) -> Diagnosis:
        """Of the runs of these slices. InvalidInputError for a slice that there is not."""
        return diagnose(self.id, self.reader, self.codes, check_slices(self.codes, slices))


class RunLogRepository(Manifests[RunLogManifest]):
    """Thread-safe. Keeps the 4 run logs used last open.

    cache_dir belongs to this process. spool: a folder for uploads that have not ended; what an earlier process left there
    is removed.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache_dir: Path,
        spool: Path,
        metrics: CuratorMetrics,
        cache_bytes: int = CACHE_BYTES,
        clusterings: ClusteringRepository | None = None,
    ) -> None:
        super().__init__(
            store, RunLogManifest, layout.runlog, "runlog", "run log", "`burnish runs ls` lists them", cache_dir
        )
        self._metrics = metrics
        self._clusterings = clusterings or ClusteringRepository(store)
        self._cache_dir = cache_dir / "runlogs"
        self._cache_bytes = cache_bytes
        self._spool = spool
        self._open: OrderedDict[tuple[str, str | None], OpenRunLog] = OrderedDict()
        self._lock = Lock()
        self._trimming = Lock()
        self.imports = anyio.CapacityLimiter(IMPORTS_AT_ONCE)
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir(parents=True)
        self._cache_dir.mkdir(parents=True, exist_ok=True)
        self._trim(unused_seconds=0)

    def ingest(
        self, name: str, chunks: Iterator[bytes], grades: Mapping[str, str] | None = None, parent: str | None = None
    ) -> RunLogImport:
        """Store the lines as a run log, and keep its parts in the cache. grades: as `burnish.runlogs.ingestion.ingest` takes it.

        parent: id of the run log that these lines were made from.
        """
        if parent is not None:
            self.read(parent)
        if not 1 <= len(name) <= NAME_CHARACTERS:
            raise InvalidInputError(f"name: give 1 to {NAME_CHARACTERS} characters", field="name")
        with tempfile.TemporaryDirectory(dir=self._spool) as spool:
            ingested = ingest(chunks, Path(spool), grades=grades)
            with self.changing(ingested.id):
                done = publish(self._store, ingested, name, parent)
                folder = self._folder(ingested.id)
                for entry in files_of(done.manifest).parts:
                    spooled = ingested.spool / entry.path
                    if spooled.is_file():
                        spooled.rename(folder / entry.path)
            self._trim()
        self._metrics.imported(done)
        return done

    def list(self, goes_on: bool = False) -> Listing[RunLogManifest]:
        """Newest first. goes_on: as `read_all` has it."""
        return self.read_all("runlogs/", goes_on)

    def remove(self, *names: str) -> None:
        """As `Manifests.remove`, and its parts leave the cache."""
        (run_log_id,) = names
        with self.changing(run_log_id):
            super().remove(run_log_id)
            with self._lock:
                self._close(run_log_id)
            shutil.rmtree(self._cache_dir / run_log_id, ignore_errors=True)

    def forget(self, *names: str) -> None:
        """As `Manifests.forget`, and parts that the manifest does not name leave the cache."""
        (run_log_id,) = names
        with self.changing(run_log_id):
            super().forget(run_log_id)
            manifest = self.get(run_log_id)
            with self._lock:
                self._close(run_log_id)
            named = {entry.path for entry in manifest.files} if manifest else set()
            for path in (self._cache_dir / run_log_id).glob("*"):
                if path.name not in named:
                    path.unlink(missing_ok=True)

    def rejected(self, run_log_id: str) -> bytes:
        """Every refused line of the import that made this run log, as JSONL of RejectedLine."""
        entry = files_of(self.read(run_log_id)).rejected
        return self.file(entry, run_log_id) if entry else b""

    def open(self, run_log_id: str, clustering: str | None = STANDING) -> OpenRunLog:
        """The run log, with missing parts fetched into the cache. NotFoundError, CorruptDataError.

        clustering: the version that gives rows their labels; None: they are as they were logged.
        """
        with self.changing(run_log_id):  # one thread fetches a run log, the others wait for it
            manifest = self.read(run_log_id)
            labelled = self._clustering(run_log_id, clustering)
            key = (run_log_id, labelled.version if labelled else None)
            with self._lock:
                if key in self._open:
                    self._folder(run_log_id)
                    self._open.move_to_end(key)
                    return self._open[key]
            folder = self._folder(run_log_id)
            entries = files_of(manifest).parts
            size_bytes = sum(entry.size_bytes for entry in entries)
            with disk.needing(size_bytes, folder, f"fetch run log {run_log_id}", MORE_ROOM, UnavailableError):
                parts = [self._fetch(run_log_id, entry, folder) for entry in entries]
            reader = RunLogReader(parts)
            if labelled is not None:
                reader = reader.labelled(given_labels(self._clusterings.found(labelled, reader)))
            opened = OpenRunLog(run_log_id, reader, parts, key[1])
            self._trim()
            with self._lock:
                self._open[key] = opened
                if len(self._open) > OPEN_LOGS:
                    self._open.popitem(last=False)
            return opened

    def _close(self, run_log_id: str) -> None:
        for key in [key for key in self._open if key[0] == run_log_id]:
            del self._open[key]

    def clustering(self, run_log_id: str) -> ClusteringManifest | None:
        """The one that stands."""
        return self._clusterings.standing(run_log_id)

    def _clustering(self, run_log_id: str, version: str | None) -> ClusteringManifest | None:
        if version is None:
            return None
        return (
            self._clusterings.standing(run_log_id)
            if version == STANDING
            else self._clusterings.read(run_log_id, version)
        )

    def _fetch(self, run_log_id: str, entry: FileEntry, folder: Path) -> Path:
        path = folder / entry.path
        is_cached = path.is_file() and path.stat().st_size == entry.size_bytes
        self._metrics.part(is_cached)
        if is_cached:
            return path
        return fetch_verified(self._store, layout.runlog(run_log_id, entry.path), entry, path)

    def _folder(self, run_log_id: str) -> Path:
        folder = self._cache_dir / run_log_id
        folder.mkdir(parents=True, exist_ok=True)
        mark_used(folder)
        return folder

    def _trim(self, unused_seconds: float = IN_USE_SECONDS) -> None:
        with self._trimming:
            with self._lock:
                keep = {run_log_id for run_log_id, _ in self._open}  # one that is being fetched was used just now
            for name in trim(self._cache_dir, self._cache_bytes, keep, unused_seconds):
                log.info("run log %s left the cache: it was not read for longest", name)
