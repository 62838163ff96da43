"""Plans erasures, carries them out, and goes on with one that a death ended."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from burnish import layout
from burnish.curation.lengths import Lengths
from burnish.errors import PreconditionError
from burnish.ports import ObjectStore
from burnish.schemas.erasure import ErasedDataset, Erasure, ErasureRequest, UserDigest
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.erasures import steps
from burnish_curator.erasures.finding import Erased, digest_of, find_lines, find_user, read_erased
from burnish_curator.erasures.repository import ErasureRepository
from burnish_curator.evals.repository import EvalRepository
from burnish_curator.reviews.service import ReviewService
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.traces.erasing import TraceErasing

ROUNDS = 3  # of what was built from the lines while they were erased
log = logging.getLogger(__name__)


class ErasureService:
    """One erasure at a time in this process; another curator that works on the same one does no harm, since each step may be done twice."""

    def __init__(
        self,
        store: ObjectStore,
        run_logs: RunLogRepository,
        reviews: ReviewService,
        datasets: DatasetRepository,
        evals: EvalRepository,
        traces: TraceErasing,
        lengths: Lengths,
        spool: Path,
    ) -> None:
        self.records = ErasureRepository(store)
        self._store, self._run_logs, self._reviews = store, run_logs, reviews
        self._datasets, self._evals, self._traces = datasets, evals, traces
        self._lengths, self._spool = lengths, spool
        self._erasing = Lock()
        self._dropped: set[str] = set()  # erasures after which this process has nothing in its caches

    def erase(self, wanted: ErasureRequest) -> Erasure:
        """Erase, and return the record. Whoever asks for what is erased already gets state `nothing`.

        NotFoundError for a line that there is not; PreconditionError if another curator cuts traces at this moment.
        """
        if wanted.preview:
            with TemporaryDirectory(dir=self._spool) as spool:
                planned = self._plan(wanted)
                return self._looked_at(planned, _matcher(planned.user), Path(spool))
        with self._erasing:
            self._go_on()
            self._traces.settle()
            planned = self._plan(wanted)
            is_user = _matcher(planned.user)
            if not planned.run_logs and not self._traces.touched(is_user, set()):
                return planned.model_copy(update={"state": "nothing"})
            if not self.records.begin(planned):
                raise PreconditionError("another erasure has not ended: ask again in a while")
            return self._carry_out(planned)

    def go_on(self) -> None:
        """End an erasure that a death ended, and drop what this process keeps of things that were erased by others."""
        with self._erasing:
            self._go_on()
        for record in self.records.list():
            if record.state == "done" and record.id not in self._dropped:
                self._drop(record)
                self._dropped.add(record.id)

    def _go_on(self) -> None:
        unfinished = self.records.unfinished()
        if unfinished is not None:
            log.warning("erasure %s has not ended: going on with it", unfinished.id)
            self._carry_out(unfinished)

    def _plan(self, wanted: ErasureRequest) -> Erasure:
        return Erasure(
            id=secrets.token_hex(8),
            state="planned",
            user=digest_of(wanted.user) if wanted.user is not None else None,
            run_logs=find_lines(self._run_logs, wanted.user, wanted.lines),
        )

    def _looked_at(self, planned: Erasure, is_user: Callable[[str], bool], spool: Path) -> Erasure:
        """What the erasure would do, without doing it."""
        erased = read_erased(self._store, self._run_logs, planned.run_logs, is_user, spool)
        less = list(steps.touched_datasets(self._datasets, erased))
        versions = [one.manifest.version for one in less]
        related = steps.related_folders(self._store, [one.run_log_id for one in planned.run_logs], versions)
        return planned.model_copy(
            update={
                "state": "preview",
                "run_logs": [one.model_copy(update={"files": []}) for one in planned.run_logs],
                "traces": self._traces.touched(is_user, erased.trace_ids),
                "reviews": sum(self._reviews.count(log, gone) for log, gone in erased.gone.items()),
                "suggestions": sum(self._reviews.count_suggestions(log, gone) for log, gone in erased.gone.items()),
                "datasets": [
                    ErasedDataset(name=one.manifest.name, version=one.manifest.version, rows=one.removed)
                    for one in less
                ],
                "evals": steps.touched_documents(self._store, erased, related, spool),
                "adapters": steps.trained_on(self._store, versions),
            }
        )

    def _carry_out(self, erasure: Erasure) -> Erasure:
        with TemporaryDirectory(dir=self._spool) as folder:
            spool = Path(folder)
            if erasure.state == "planned":
                erasure = self._until_scanned(erasure, spool)
                self.records.save(erasure)
            for one in erasure.run_logs:
                with self._run_logs.changing(one.run_log_id):
                    steps.remove_old_files(self._store, one)
            erasure = erasure.model_copy(update={"state": "done", "finished_at": datetime.now(UTC)})
            self._drop(erasure)
            self.records.end(erasure)
            self._dropped.add(erasure.id)
        log.info(
            "erasure %s has ended: %d run logs, %d datasets", erasure.id, len(erasure.run_logs), len(erasure.datasets)
        )
        return erasure

    def _until_scanned(self, erasure: Erasure, spool: Path) -> Erasure:
        is_user = _matcher(erasure.user)
        erased = read_erased(self._store, self._run_logs, erasure.run_logs, is_user, spool)
        erasure = erasure.model_copy(update={"traces": erasure.traces + self._traces.erase(is_user, erased.trace_ids)})
        if late := find_user(self._run_logs, is_user, [one.run_log_id for one in erasure.run_logs]):
            erasure = erasure.model_copy(update={"run_logs": [*erasure.run_logs, *late]})
            erased = read_erased(self._store, self._run_logs, erasure.run_logs, is_user, spool)
        self.records.save(erasure)
        for _ in range(ROUNDS):
            erasure = self._dependents(erasure, erased, spool)
            for one in erasure.run_logs:
                with self._run_logs.changing(one.run_log_id):
                    steps.erase_lines(self._store, one, erasure.id, erased.texts, spool)
                self._run_logs.forget(one.run_log_id)
            old = {layout.runlog(one.run_log_id, file) for one in erasure.run_logs for file in one.files}
            found = steps.scan(self._store, erased, old, spool)
            erasure = erasure.model_copy(update={"scan": found})
            if all(key.startswith("benchmarks/") for key in found.found):
                break
        return erasure.model_copy(update={"state": "scanned"})

    def _dependents(self, erasure: Erasure, erased: Erased, spool: Path) -> Erasure:
        """Everything that was made from the lines. What will be touched is in the record before it is."""
        done = {field: list(getattr(erasure, field)) for field in ("datasets", "evals", "adapters")}
        reviews, suggestions = erasure.reviews, erasure.suggestions

        def save() -> Erasure:
            saved = erasure.model_copy(update={**done, "reviews": reviews, "suggestions": suggestions})
            self.records.save(saved)
            return saved

        for name, version in list(steps.half_buried(self._store)):
            steps.bury(self._store, self._datasets, name, version)
        less = list(steps.touched_datasets(self._datasets, erased))
        built = [(one, steps.replacement(one, self._lengths)) for one in less]
        for one, new in built:
            names = {"name": one.manifest.name, "version": one.manifest.version}
            entry = ErasedDataset(**names, rows=one.removed, replaced_by=new.manifest.version if new else None)
            if (entry.name, entry.version) not in {(known.name, known.version) for known in done["datasets"]}:
                done["datasets"].append(entry)
        versions = [one.version for one in done["datasets"]]
        done["adapters"] = sorted({*done["adapters"], *steps.trained_on(self._store, versions)})
        related = steps.related_folders(self._store, [one.run_log_id for one in erasure.run_logs], versions)
        done["evals"] = sorted({*done["evals"], *steps.touched_documents(self._store, erased, related, spool)})
        save()
        for folder in done["evals"]:
            steps.redact_folder(self._store, folder, erased, folder in related)
        self._evals.forget_all()
        for one, new in built:
            steps.replace_dataset(self._store, self._datasets, one.manifest, new, erasure.id)
        for run_log_id, questions in erased.gone.items():
            removed = self._reviews.erase(run_log_id, sorted(questions))
            reviews, suggestions = reviews + removed[0], suggestions + removed[1]
        return save()

    def _drop(self, erasure: Erasure) -> None:
        for one in erasure.run_logs:
            self._run_logs.forget(one.run_log_id)
            self._reviews.forget_counts(one.run_log_id)
        self._datasets.forget_all()
        self._evals.forget_all()


def _matcher(user: UserDigest | None) -> Callable[[str], bool]:
    return lambda given: user is not None and digest_of(given, user.salt) == user
