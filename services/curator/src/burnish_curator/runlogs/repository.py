"""Run logs in the object store, with their parts cached on local disk: immutable, so a cached part is never stale."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from threading import Lock

from burnish import layout
from burnish.diagnosis import diagnose, read_codes
from burnish.digests import file_sha256
from burnish.errors import CorruptDataError
from burnish.ports import ObjectStore
from burnish.runlogs import Ingested, RunLogReader, files_of, publish
from burnish.schemas.base import FileEntry
from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogManifest
from burnish_curator.manifests import Manifests, read_file
from burnish_curator.metrics import CuratorMetrics

OPEN_LOGS = 4


class OpenRunLog:
    """A run log ready to be asked; `codes` are the columns that every question needs. Immutable."""

    def __init__(self, run_log_id: str, reader: RunLogReader) -> None:
        self.id = run_log_id
        self.reader = reader
        self.codes = read_codes(reader)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        return diagnose(self.id, self.reader, self.codes)


class RunLogRepository:
    """Thread-safe. Keeps the 4 run logs used last open."""

    def __init__(self, store: ObjectStore, cache_dir: Path, metrics: CuratorMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._cache_dir = cache_dir / "runlogs"
        self._manifests = Manifests(store, RunLogManifest)
        self._open: OrderedDict[str, OpenRunLog] = OrderedDict()
        self._opening: dict[str, Lock] = {}  # one thread fetches a run log, the others wait for it
        self._lock = Lock()

    def publish(self, ingested: Ingested, name: str) -> RunLogImport:
        """Store what was ingested and move its parts from the spool into the cache."""
        result = publish(self._store, ingested, name)
        folder = self._folder(ingested.id)
        for entry in files_of(result.manifest).parts:
            spooled = ingested.spool / entry.path
            if spooled.is_file():
                spooled.rename(folder / entry.path)
        return result

    def manifests(self) -> list[RunLogManifest]:
        """Newest first."""
        return self._manifests.read_all(layout.runlog(id) for id in self._store.list_folders("runlogs/"))

    def manifest(self, run_log_id: str) -> RunLogManifest:
        return self._manifests.read(
            layout.runlog(run_log_id), lambda: f"no run log {run_log_id!r}: `burnish runs ls` lists them"
        )

    def rejected(self, run_log_id: str) -> bytes:
        """Every refused line of the import that made this run log, as JSONL of RejectedLine."""
        entry = files_of(self.manifest(run_log_id)).rejected
        return read_file(self._store, layout.runlog(run_log_id), entry) if entry else b""

    def open(self, run_log_id: str) -> OpenRunLog:
        """The run log, its parts fetched into the cache where they are missing. NotFoundError, CorruptDataError."""
        manifest = self.manifest(run_log_id)
        with self._lock:
            opening = self._opening.setdefault(run_log_id, Lock())
        with opening:
            return self._opened(run_log_id) or self._open_now(manifest)

    def _opened(self, run_log_id: str) -> OpenRunLog | None:
        with self._lock:
            if run_log_id in self._open:
                self._open.move_to_end(run_log_id)
            return self._open.get(run_log_id)

    def _open_now(self, manifest: RunLogManifest) -> OpenRunLog:
        folder = self._folder(manifest.id)
        parts = [self._fetch(manifest.id, entry, folder) for entry in files_of(manifest).parts]
        opened = OpenRunLog(manifest.id, RunLogReader(parts))
        with self._lock:
            self._open[manifest.id] = opened
            if len(self._open) > OPEN_LOGS:
                self._open.popitem(last=False)
        return opened

    def _fetch(self, run_log_id: str, entry: FileEntry, folder: Path) -> Path:
        path = folder / entry.path
        is_cached = path.is_file() and path.stat().st_size == entry.size_bytes
        self._metrics.part(is_cached)
        if is_cached:
            return path
        self._store.get_file(layout.runlog(run_log_id, entry.path), path)
        if file_sha256(path) != entry.sha256:
            path.unlink()
            raise CorruptDataError(f"run log {run_log_id}: {entry.path} is not what its manifest says; restore it")
        return path

    def _folder(self, run_log_id: str) -> Path:
        folder = self._cache_dir / run_log_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder
