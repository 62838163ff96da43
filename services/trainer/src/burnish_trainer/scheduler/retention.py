"""Which checkpoints stay once a job has ended; the others are deleted. Called by engine.py, in threads."""

from __future__ import annotations

import logging
import shutil
import threading

from burnish.errors import BurnishError
from burnish.ports import ObjectStore
from burnish.schemas.training.job_state import JobState
from burnish_trainer.artifacts import checkpoint_models, checkpoints
from burnish_trainer.executors import Executor
from burnish_trainer.queue.jobs import Job
from burnish_trainer.queue.repository import JobRepository

log = logging.getLogger(__name__)


class Retention:
    """A failed job keeps everything, so that people can look into it. Of the others, what `keep` says stays, as weights only."""

    def __init__(
        self, repository: JobRepository, executor: Executor, store: ObjectStore, keep: checkpoint_models.Keep
    ) -> None:
        self._repository = repository
        self._executor = executor
        self._store = store
        self._keep = keep
        self._stopped = threading.Event()

    def apply(self, job: Job) -> None:
        """Delete what an ended job does not keep. Safe to repeat."""
        if job.state is JobState.FAILED:
            return
        try:
            checkpoint_models.retain(self._store, job.job_id, self._keep)
        except BurnishError as error:
            log.warning("checkpoints stay as they are until the next start: %s", error, extra={"job_id": job.job_id})
        shutil.rmtree(self._executor.job_folder(job.job_id) / checkpoints.FOLDER, ignore_errors=True)

    def apply_to_leftovers(self) -> None:
        """The same for jobs that ended while no trainer could do it."""
        try:
            for job_id in self._store.list_folders("checkpoints/"):
                if self._stopped.is_set():
                    return
                try:
                    job = self._repository.get(job_id)
                except BurnishError as error:
                    log.info("checkpoints of %s stay: %s", job_id, error)
                    continue
                if job.state.ended:
                    self.apply(job)
        except BurnishError as error:
            log.warning("the object store does not answer; leftover checkpoints stay: %s", error)

    def stop(self) -> None:
        """End `apply_to_leftovers` after the job it is at."""
        self._stopped.set()
