"""What can be asked of run logs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio

from burnish.errors import InvalidInputError
from burnish.runlogs import ingest
from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogManifest
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.runlogs.schemas import RunLogRows

IMPORTS_AT_ONCE = 2  # each holds about 150 MB
NAME_CHARACTERS = 200


class RunLogService:
    """spool: folder for uploads under way; what an earlier process left there is removed."""

    def __init__(self, repository: RunLogRepository, spool: Path, metrics: CuratorMetrics) -> None:
        self._repository = repository
        self._metrics = metrics
        self._spool = spool
        self.imports = anyio.CapacityLimiter(IMPORTS_AT_ONCE)
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir(parents=True)

    def import_run_log(self, name: str, chunks: Iterator[bytes]) -> RunLogImport:
        if not 1 <= len(name) <= NAME_CHARACTERS:
            raise InvalidInputError(f"name: give 1 to {NAME_CHARACTERS} characters", field="name")
        with tempfile.TemporaryDirectory(dir=self._spool) as folder:
            done = self._repository.publish(ingest(chunks, Path(folder)), name)
        self._metrics.imported(done)
        return done

    def manifests(self) -> list[RunLogManifest]:
        return self._repository.manifests()

    def manifest(self, run_log_id: str) -> RunLogManifest:
        return self._repository.manifest(run_log_id)

    def rejected(self, run_log_id: str) -> bytes:
        return self._repository.rejected(run_log_id)

    def rows(self, run_log_id: str, offset: int, limit: int, label: str | None, grade: str | None) -> RunLogRows:
        log = self._repository.open(run_log_id).reader
        found = log.find(label=label, grade=grade)
        return RunLogRows(rows=list(log.lines(found[offset : offset + limit])), total=len(found))

    def diagnosis(self, run_log_id: str) -> Diagnosis:
        return self._repository.open(run_log_id).diagnosis
