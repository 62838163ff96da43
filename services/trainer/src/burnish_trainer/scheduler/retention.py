"""What is done once a job has ended: checkpoints that nobody needs any more are dropped. Called by engine.py, in threads."""

from __future__ import annotations

import logging
import shutil
import threading

from burnish.errors import BurnishError
from burnish.ports import ObjectStore
from burnish_trainer.artifacts import checkpoint_models, checkpoints
from burnish_trainer.executors import Executor
from burnish_trainer.queue.jobs import Job, State
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.scheduler.policy import KeepCheckpoints

log = logging.getLogger(__name__)


class Aftercare:
    """A failed job keeps everything for whoever looks into it; of the others stays what `keep` says, as weights alone."""

    def __init__(
        self, repository: JobRepository, executor: Executor, store: ObjectStore, keep: KeepCheckpoints
    ) -> None:
        self._repository = repository
        self._executor = executor
        self._store = store
        self._keep = keep
        self._stopped = threading.Event()

    def after(self, job: Job) -> None:
        """Safe to repeat."""
        if job.state is State.FAILED:
            return
        try:
            checkpoint_models.retain(self._store, job.job_id, self._keep)
        except BurnishError as error:
            log.warning("checkpoints stay as they are until the next start: %s", error, extra={"job_id": job.job_id})
        shutil.rmtree(self._executor.job_folder(job.job_id) / checkpoints.FOLDER, ignore_errors=True)

    def sweep(self) -> None:
        """Do it for jobs that ended while nobody could."""
        try:
            for job_id in self._store.list_folders("checkpoints/"):
                if self._stopped.is_set():
                    return
                self._sweep_job(job_id)
        except BurnishError as error:
            log.warning("the object store does not answer; leftover checkpoints stay: %s", error)

    def stop(self) -> None:
        """End a sweep under way after the job it is at."""
        self._stopped.set()

    def _sweep_job(self, job_id: str) -> None:
        try:
            job = self._repository.get(job_id)
        except BurnishError as error:
            log.info("checkpoints of %s stay: %s", job_id, error)
            return
        if job.state.ended:
            self.after(job)
