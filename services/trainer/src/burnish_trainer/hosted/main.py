"""Has a provider train one job: `python -m burnish_trainer.hosted.main <attempt folder>`. Reports in events.jsonl, as a worker does.

Started by executors/local.py, with the provider's credential in its environment and nowhere else. SIGTERM means: end, and leave the
job at the provider as it is. Whether it goes on there is the next attempt's business, or that of a release.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TextIO, cast

from burnish.errors import BurnishError, Code, InternalError
from burnish.registry import remote_models
from burnish.schemas.base import VersionRef
from burnish.schemas.training.hosted import PROVIDERS
from burnish.service.settings import S3Settings
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing, fail
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.executors.events import Event, EventWriter, Failed, Metrics, Note, Succeeded, Suspended
from burnish_trainer.executors.lifeline import Lifeline, only_worker
from burnish_trainer.hosted.providers import connect
from burnish_trainer.hosted.record import Record, RecordFile, first_record
from burnish_trainer.hosted.rows import RowFiles
from burnish_trainer.hosted.run import HostedRun, Outside, Pace
from burnish_trainer.hosted.weights import Weights
from burnish_trainer.settings import HostedSettings

log = logging.getLogger(__name__)

SERVICE = "burnish-hosted"  # as traces name it
QUIET_LOGGERS = ("urllib3", "httpx", "httpcore", "httpx2", "httpcore2", "openai", "together", "fireworks", "google")
RETRIED = (Code.UNAVAILABLE, Code.INTERNAL, Code.DEADLINE_EXCEEDED, Code.ABORTED)
SLICE_SECONDS = 1.0


class StopRequested(Exception):
    """The trainer wants the process to end."""


class WithoutSecrets(io.TextIOBase):
    """A text stream that writes the secrets as ‹key›: what a library logs is not ours to choose."""

    def __init__(self, stream: IO[str], secrets: list[str]) -> None:
        self._stream = stream
        self._secrets = secrets

    def write(self, text: str) -> int:
        for secret in self._secrets:
            text = text.replace(secret, "‹key›")
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


def main() -> int:
    """Exit code 0: it reached its goal, or ended as asked; 1: failed, and the last event says why."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    lifeline = Lifeline()
    folder = Path(sys.argv[1])
    lifeline.beat(folder)
    assignment = Assignment.model_validate_json((folder / "spec.json").read_bytes())
    secrets = [value for provider in PROVIDERS.values() if (value := os.environ.get(provider.key))]
    stream = cast(TextIO, WithoutSecrets(sys.stderr, secrets))
    sys.stdout = sys.stderr = stream
    lines = logs.configure(stream, QUIET_LOGGERS)
    lines.fixed |= {"job_id": assignment.job_id, "attempt": assignment.attempt}
    tracing = Tracing.from_environment(SERVICE)
    with only_worker(folder.parent):
        writer = EventWriter(folder / "events.jsonl")
        with tracing.span("hosted", parent=assignment.traceparent, job_id=assignment.job_id) as span:
            final = _attempt(assignment, folder, writer, stop, lifeline)
            if isinstance(final, Failed):
                fail(span, final.error["message"])
        tracing.close()
        writer.write(final)
    return 1 if isinstance(final, Failed) else 0


def _attempt(
    assignment: Assignment, folder: Path, writer: EventWriter, stop: threading.Event, lifeline: Lifeline
) -> Event:
    """The event that ends the attempt, whatever happened."""
    try:
        final = _run(assignment, folder, writer, stop, lifeline)
        return final or Note(message="nothing of the job is left at its provider")
    except StopRequested:
        return Suspended(step=0)
    except BurnishError as error:
        log.warning("%s", error)
        return Failed(error=error.to_dict(), retry=error.code in RETRIED)
    except Exception as error:
        log.exception("attempt failed")
        defect = InternalError(f"it ended by an unexpected {type(error).__name__}; the worker's log has the traceback")
        return Failed(error=defect.to_dict(), retry=True)


def _run(
    assignment: Assignment, folder: Path, writer: EventWriter, stop: threading.Event, lifeline: Lifeline
) -> Event | None:
    spec, settings = assignment.spec, HostedSettings()
    assert spec.hosted is not None
    store = S3Settings().open()  # type: ignore[call-arg]  # from the environment
    rows = RowFiles(store, spec, spec.hosted, folder / "rows")

    def pause(seconds: float) -> None:
        until = time.monotonic() + seconds
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            lifeline.progress("waiting")
            stop.wait(min(left, SLICE_SECONDS))
        if stop.is_set():
            raise StopRequested

    pace = Pace(settings.poll_seconds, settings.longest_poll_seconds, settings.settle_seconds)
    with contextlib.closing(connect(spec.hosted.provider, os.environ)) as provider:

        def begin() -> Record:
            request = rows.request(provider)
            return first_record(assignment.job_id, provider.name, provider.endpoint, request, datetime.now(UTC))

        def adopt(record: Record, metrics: Sequence[Metrics]) -> VersionRef | None:
            return weights.adopt(provider, record, metrics)

        weights = Weights(store, assignment, assignment.base_model, folder / "adapter", writer.write)
        limit_usd = spec.hosted.spend_limit_usd
        outside = Outside(begin, rows.of, adopt, writer.write, pause, lifeline.progress, pace, limit_usd)
        final = HostedRun(provider, RecordFile(store, assignment.job_id), outside).to(assignment.goal)
    if isinstance(final, Succeeded) and final.remote_model and not final.adapter:
        remote_models.record(store, assignment.job_id, spec, final.remote_model)
    return final


if __name__ == "__main__":
    sys.exit(main())
