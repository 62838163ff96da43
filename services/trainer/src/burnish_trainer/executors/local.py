"""Runs each attempt as a process of this machine, in a session of its own, out of a folder under the work directory.

<work_dir>/jobs/<job_id>/attempt-<n>/{spec.json, events.jsonl, worker.log, heartbeat}; checkpoints stand beside the attempts.
The worker's standard input is a pipe that this process holds open: when it is gone, the worker ends itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from burnish.errors import PreconditionError
from burnish_trainer.executors import launch, processes
from burnish_trainer.executors.assignment import HEARTBEAT, LOG, Assignment
from burnish_trainer.executors.spare import Spare
from burnish_trainer.hardware import backends
from burnish_trainer.queue.jobs import Job

LAST_WORDS_BYTES = 4096
SPARE_LOG = "spare.log"


class LocalWorker:
    """burnish_trainer.executors.Worker over a child process. count: of the processes that train."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, count: int = 1) -> None:
        self.process = process
        self._folder = folder
        self._count = count
        self._beats: dict[str, tuple[int, float]] = {}
        self._started = time.monotonic()

    def exit_status(self) -> str | None:
        code = self.process.poll()
        if code is None:
            return None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        if self.process.poll() is None:
            processes.signal_workers(self.process.pid, signal.SIGTERM, self._count)

    def kill(self) -> None:
        """By process tree and group, which outlives its leader while any member lives."""
        processes.kill_tree(self.process.pid)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def last_words(self) -> str:
        with (self._folder / LOG).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LAST_WORDS_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return _words_of(lines[-1]) if lines else ""

    def heartbeat_age(self) -> float | None:
        """Of the process that has been silent longest. Told by changes seen, not by the files' times: clocks may be set."""
        if self.process.poll() is not None:
            return None
        now = time.monotonic()
        for path in self._folder.glob(f"{HEARTBEAT}*"):
            beat = path.stat().st_mtime_ns
            if self._beats.get(path.name, (None, 0.0))[0] != beat:
                self._beats[path.name] = (beat, now)
        seen = [at for _, at in self._beats.values()]
        if len(seen) < self._count:
            seen.append(self._started)
        return now - min(seen)


class LocalExecutor:
    """burnish_trainer.executors.Executor over child processes.

    device: "cpu" or "cuda:0", where jobs run as a rule. environment: what the worker gets beyond this process's own; secrets travel here, never in argv or files.
    warm_workers: 1 keeps a spare with its libraries loaded.
    """

    def __init__(
        self,
        work_dir: Path,
        base_model: Path,
        device: str,
        environment: Mapping[str, str],
        command: Sequence[str] = launch.WORKER,
        warm_workers: int = 0,
    ) -> None:
        self._work_dir = work_dir.resolve()
        self._jobs = self._work_dir / "jobs"
        self._base_model = base_model.resolve()
        self._environment = dict(environment)
        self._command = tuple(command)
        self._spare = Spare(_usual_backend(device), self._start_spare) if warm_workers else None

    @property
    def spare_pid(self) -> int | None:
        return self._spare.pid if self._spare else None

    def job_folder(self, job_id: str) -> Path:
        return self._jobs / job_id

    def _attempt_folder(self, job: Job) -> Path:
        return self.job_folder(job.job_id) / f"attempt-{job.attempts}"

    def start(self, job: Job, devices: Sequence[str]) -> LocalWorker:
        folder = self._attempt_folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        placed = launch.device_environment(devices, os.environ.get(launch.VISIBLE))
        assignment = Assignment(
            job_id=job.job_id,
            attempt=job.attempts,
            spec=job.spec,
            base_model=self._base_model,
            device="cuda" if placed[launch.VISIBLE] else "cpu",
            environment=placed,
            findings=job.findings,
            estimate=job.estimate,
            overhead_seconds=job.overhead_seconds,
            traceparent=job.traceparent,
        )
        (folder / "spec.json").write_text(assignment.model_dump_json(indent=1))
        (folder / LOG).touch()
        process = self._hand_over(folder, assignment) if len(devices) == 1 else None
        return LocalWorker(process or self._start_cold(folder, devices, placed), folder, len(devices))

    def _hand_over(self, folder: Path, assignment: Assignment) -> subprocess.Popen[bytes] | None:
        if self._spare is None or assignment.device == "auto":
            return None
        try:
            backend = backends.choose(assignment.spec.backend, assignment.device)
        except PreconditionError:
            return None  # the worker itself says so, as the job's failure
        return self._spare.hand_over(folder, backend.name)

    def _start_cold(self, folder: Path, devices: Sequence[str], placed: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = launch.command(self._command, folder, devices)
        return self._popen(command, folder / LOG, {**placed, "TMPDIR": str(folder)})

    def _start_spare(self, backend: str) -> subprocess.Popen[bytes]:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        log = self._work_dir / SPARE_LOG
        log.unlink(missing_ok=True)
        return self._popen([*self._command, "--wait", backend], log, {})

    def _popen(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**launch.base_environment(), **self._environment, **environment},
                start_new_session=True,
            )

    def read_events(self, job: Job) -> bytes:
        path = self._attempt_folder(job) / "events.jsonl"
        if not path.is_file():
            return b""
        with path.open("rb") as events:
            events.seek(job.event_offset)
            return events.read()

    def close(self) -> None:
        if self._spare is not None:
            self._spare.close()


def _words_of(line: str) -> str:
    """A log line for people: the message, and of a traceback its last line. What is no such line stays as it is."""
    try:
        said = json.loads(line)
        words, traceback = said["message"], said.get("traceback", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    return f"{words}: {traceback.splitlines()[-1]}" if traceback else str(words)


def _usual_backend(device: str) -> str:
    """Of a job that leaves the choice to the trainer."""
    return backends.choose("auto", "cuda" if device.startswith("cuda") else "cpu").name
