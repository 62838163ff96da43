"""Does what steps.py names, until the job has ended at its provider and nothing is left to do. Called by main.py alone.

Every state is durable before the call that follows it, so this may be killed at any moment and started anew, here or on another
machine: it then goes on from the record.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import PreconditionError
from burnish.schemas.base import VersionRef
from burnish_trainer.executors.assignment import Phase
from burnish_trainer.executors.events import Event, Failed, Metrics, Note, Succeeded
from burnish_trainer.hosted.provider import Missing, NotDone, NotYet, Provider, Refused, RemoteJob, Unanswered
from burnish_trainer.hosted.record import Outcome, Record, RecordFile, Split
from burnish_trainer.hosted.steps import Goal, Step, next_step
from burnish_trainer.hosted.transfers import beating

log = logging.getLogger(__name__)

GENERATIONS = 5  # uploads of one job, each after a lost answer, before it has failed
SHORTEST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 300.0  # unless the provider asks for more
SLOWER_POLL = 1.5


@dataclass(frozen=True)
class Pace:
    """poll_seconds: between two looks at a job, from the first to the longest. settle_seconds: a provider's list may be as old.

    beat_seconds: between two signs of progress of a transfer.
    """

    poll_seconds: float
    longest_poll_seconds: float
    settle_seconds: float
    beat_seconds: float = 10.0


@dataclass(frozen=True)
class Outside:
    """What the run has beside provider and record. pause: raises what main.py raises if the process was asked to stop.

    begin: makes the first record. rows: files to upload, made anew. adopt: makes the weights that a provider gives back an
    adapter version. progress: of the heartbeat.
    """

    begin: Callable[[], Record]
    rows: Callable[[Record], dict[Split, Path]]
    adopt: Callable[[Record, Sequence[Metrics]], VersionRef | None]
    say: Callable[[Event], None]
    pause: Callable[[float], None]
    progress: Callable[[Phase], None]
    pace: Pace
    spend_limit_usd: float


class HostedRun:
    """One attempt to bring a job to its goal."""

    def __init__(self, provider: Provider, file: RecordFile, outside: Outside) -> None:
        self._provider = provider
        self._file = file
        self._out = outside
        self._said = ""
        self._failures = 0
        self._poll_seconds = outside.pace.poll_seconds
        self._last_steps = {"train": 0, "validation": 0}
        self._final: Event | None = None
        self._do: dict[Step, Callable[[Record], Record]] = {
            "upload": self._upload,
            "create": self._create,
            "search": self._search,
            "fence": self._fence,
            "poll": self._poll,
            "cancel": self._cancel,
            "deliver": self._deliver,
            "discard": self._discard,
        }

    def to(self, goal: Goal) -> Event | None:
        """The event that ends the attempt; None once the job is released. BurnishError, ConflictError included, if it cannot go on."""
        record = self._file.read()
        self._check_same_place(record)
        while (step := next_step(record, goal)) != "done" and self._final is None:
            self._out.progress("uploading" if step in ("begin", "upload") else "waiting")
            try:
                record = self._file.write(self._out.begin()) if record is None else self._do[step](record)
                self._failures = 0
            except NotYet as error:
                self._note(f"{self._provider.name}: {error}")
                self._pause_between_looks()
            except Unanswered as error:
                record = self._file.read() or record
                self._wait_for_answer(error)
            except Refused as refused:
                if goal == "release" or step in ("begin", "upload", "create"):
                    raise refused.error from refused
                self._wait_for_answer(Unanswered(str(refused)))  # the account may lack a right for a while
        return self._final

    def _check_same_place(self, record: Record | None) -> None:
        """Elsewhere the job would not be found, and be paid for a second time."""
        if record is not None and record.endpoint != self._provider.endpoint:
            raise PreconditionError(
                f"{record.job_id} was sent to {record.endpoint} and this trainer speaks to {self._provider.endpoint}: set the "
                "address back until the job is released"
            )

    def _upload(self, record: Record) -> Record:
        """A file whose answer was lost is found by its name. One that was half sent does not exist."""
        known = self._provider.uploads(record.job_id)
        ids: dict[Split, str] = {}
        for split, path in self._out.rows(record).items():
            name = record.upload_name(split)
            with self._transferring("uploading"):
                ids[split] = known.get(name) or self._provider.upload(name, path)
        self._note(f"uploaded to {self._provider.name}: {', '.join(ids.values())}")
        return self._file.write(record.to("uploaded", uploads=ids))

    def _create(self, record: Record) -> Record:
        """The one call that costs money. It is not repeated unless the provider says that it did nothing."""
        try:
            self._check_price(self._provider.estimate(record))
            record = self._file.write(record.to("creating"))
            job = self._provider.create(record)
        except NotDone:  # of the estimate too, which changes nothing
            if record.state == "creating":
                self._file.write(record.to("uploaded"))
            raise
        except Refused as refused:
            outcome = Outcome(state="failed", message=refused.error.message)
            self._file.write(record.to("ended", outcome=outcome))
            raise
        return self._adopt(record, job)

    def _check_price(self, cost_usd: float | None) -> None:
        """Refused if the provider's own estimate is above the job's limit."""
        if cost_usd is None:
            return
        if cost_usd > self._out.spend_limit_usd:
            raise Refused(self._too_dear(cost_usd, "Nothing was started"))
        self._note(f"{self._provider.name} estimates ${cost_usd:,.2f} for the job")

    def _too_dear(self, cost_usd: float, so: str) -> PreconditionError:
        return PreconditionError(
            f"{self._provider.name} estimates ${cost_usd:,.2f} for the job and its limit is ${self._out.spend_limit_usd:,.2f}: raise "
            f"--spend-limit, or train on fewer rows or for fewer optimizer.epochs. {so}"
        )

    def _search(self, record: Record) -> Record:
        """After a lost answer. What is not in the list may still be on its way, so it is not sent again from here."""
        for seconds in (0.0, self._out.pace.settle_seconds):
            self._out.pause(seconds)
            if job := self._found(record):
                return self._adopt(record, job)
        if not all(self._provider.has_upload(upload) for upload in record.uploads.values()):
            raise Unanswered(
                f"it cannot be told whether {record.provider} started {record.job_id}: this account shows neither the job nor "
                f"its file {record.uploads.get('train')}. Set the credential of the account that it was sent with"
            )
        return self._file.write(record.to("fencing"))

    def _fence(self, record: Record) -> Record:
        """A call on its way cannot start a job without its file; so once that is deleted, what is not listed never will be."""
        for upload in record.uploads.values():
            self._provider.discard(upload)
        self._out.pause(self._out.pace.settle_seconds)
        if job := self._found(record):
            return self._adopt(record, job)
        if record.generation >= GENERATIONS:
            outcome = Outcome(state="failed", message=f"it did not start the job in {GENERATIONS} tries")
            return self._file.write(record.to("ended", outcome=outcome))
        self._note(f"{record.provider} did not start the job whose answer was lost: it is sent again")
        return self._file.write(record.after_fence())

    def _found(self, record: Record) -> RemoteJob | None:
        """The job of any generation; one that failed for want of its deleted file is none."""
        jobs = [
            job
            for job in self._provider.find(record)
            if not (job.outcome and job.outcome.state == "failed" and set(job.uploads) & set(record.fenced))
        ]
        return jobs[0] if jobs else None

    def _adopt(self, record: Record, job: RemoteJob) -> Record:
        record = self._file.write(record.to("created", remote_id=job.remote_id))
        self._note(f"{record.provider} has the job as {job.remote_id}")
        return record

    def _poll(self, record: Record) -> Record:
        job = self._look(record)
        self._report(job.metrics)
        if job.outcome is not None:
            return self._file.write(record.to("ended", outcome=job.outcome))
        if job.cost_usd is not None and job.cost_usd > self._out.spend_limit_usd:
            self._final = Failed(error=self._too_dear(job.cost_usd, "It is cancelled there").to_dict(), retry=False)
            return record  # the release that follows cancels it
        self._note(f"running ({record.provider} says {job.says})")
        self._pause_between_looks()
        return record

    def _cancel(self, record: Record) -> Record:
        job = self._look(record)
        if job.outcome is not None:
            return self._file.write(record.to("ended", outcome=job.outcome))
        try:
            assert record.remote_id is not None
            self._provider.cancel(record.remote_id)
        except Refused as refused:  # it has ended meanwhile; the next look says how
            log.info("%s", refused)
        self._pause_between_looks()
        return record

    def _pause_between_looks(self) -> None:
        self._out.pause(self._poll_seconds)
        self._poll_seconds = min(self._poll_seconds * SLOWER_POLL, self._out.pace.longest_poll_seconds)

    def _look(self, record: Record) -> RemoteJob:
        """A job that is gone has ended, if this is the account that had it."""
        assert record.remote_id is not None
        try:
            return self._provider.poll(record.remote_id)
        except Missing as missing:
            if all(self._provider.has_upload(upload) for upload in record.uploads.values()):
                message = f"{record.remote_id} is not there any more"
                return RemoteJob(record.remote_id, "gone", Outcome(state="failed", message=message))
            raise Unanswered(f"{missing}; is this the account that the job was sent with?") from missing

    def _deliver(self, record: Record) -> Record:
        outcome = record.outcome
        assert outcome is not None
        if outcome.state == "succeeded":
            adapter = self._fetched(record)
            self._final = Succeeded(adapter=adapter, remote_model=self._provider.result(record))
        else:
            where = f"{record.provider} ({record.remote_id or 'no job was started'})"
            words = "was cancelled there" if outcome.state == "cancelled" else f"failed: {outcome.message}"
            self._final = Failed(error=PreconditionError(f"the job at {where} {words}").to_dict(), retry=False)
        return record

    def _fetched(self, record: Record) -> VersionRef | None:
        """The adapter version, if the provider gives the weights and they fit the base model here."""
        self._out.progress("publishing")
        assert record.remote_id is not None
        metrics = self._provider.poll(record.remote_id).metrics
        with self._transferring("publishing"):
            return self._out.adopt(record, metrics)

    def _transferring(self, phase: Phase) -> AbstractContextManager[None]:
        return beating(lambda: self._out.progress(phase), self._out.pace.beat_seconds)

    def _discard(self, record: Record) -> Record:
        """Delete the uploaded rows, those whose answer was lost included."""
        for upload in {*record.every_upload, *self._provider.uploads(record.job_id).values()}:
            self._provider.discard(upload)
        return self._file.write(record.to(record.state, released=True))

    def _report(self, metrics: Sequence[Metrics]) -> None:
        for one in metrics:
            if one.step > self._last_steps[one.series]:
                self._last_steps[one.series] = one.step
                self._out.say(one)

    def _wait_for_answer(self, error: Unanswered) -> None:
        backed_off = min(SHORTEST_WAIT_SECONDS * 2.0**self._failures, LONGEST_WAIT_SECONDS)
        self._failures += 1
        seconds = max(error.retry_after_seconds or 0.0, backed_off * random.uniform(0.5, 1.0))
        log.warning("%s: %s; again in %.0f s", self._provider.name, error, seconds)
        self._note(f"{self._provider.name} gives no answer to go by, it is asked again: {error}")
        self._out.pause(seconds)

    def _note(self, message: str) -> None:
        if message != self._said:
            self._said = message
            self._out.say(Note(message=message))
