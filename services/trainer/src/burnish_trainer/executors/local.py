"""Runs each attempt as a process of this machine, in a session of its own, from a folder under the work directory.

<work_dir>/jobs/<job_id>/attempt-<n>/{spec.json, events.jsonl, worker.log, heartbeat}; checkpoints lie beside the attempts.
The worker's standard input is a pipe that this process holds open: when it closes, the worker ends itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from burnish.errors import PreconditionError
from burnish.machine.gpus import VISIBLE
from burnish_trainer.executors import Pulse, launch
from burnish_trainer.executors.access import ProviderAccess
from burnish_trainer.executors.assignment import HEARTBEAT, LOG, Assignment, Attempt
from burnish_trainer.executors.spare import Spare
from burnish_trainer.hardware import backends

LOG_TAIL_BYTES = 4096
SPARE_LOG = "spare.log"


@dataclass(frozen=True)
class _Beat:
    """A heartbeat file as last seen: its time of change, its text, and when this process saw either change."""

    changed_ns: int
    alive_at: float
    text: str
    progress_at: float


class LocalWorker:
    """burnish_trainer.executors.Worker over a child process. count: of the processes that train."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, count: int = 1) -> None:
        self.process = process
        self._folder = folder
        self._count = count
        self._beats: dict[str, _Beat] = {}
        self._started = time.monotonic()

    def exit_status(self) -> str | None:
        code = self.process.poll()
        if code is None:
            return None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """If several processes train, the launcher's own children are asked: the launcher would give them 30 s only."""
        if self.process.poll() is not None:
            return
        for pid in [self.process.pid] if self._count == 1 else _children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """The launcher gives each worker a session of its own, so each process's group is killed. A group outlives its leader."""
        for pid in [self.process.pid, *_children(self.process.pid, recursive=True)]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def last_log_line(self) -> str:
        with (self._folder / LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return _readable(lines[-1]) if lines else ""

    def pulse(self) -> Pulse | None:
        """Changes of the files are counted, not their times: clocks may be set."""
        if self.process.poll() is not None:
            return None
        now = time.monotonic()
        for path in self._folder.glob(f"{HEARTBEAT}*"):
            beat, text = path.stat().st_mtime_ns, path.read_text().strip()
            seen = self._beats.get(path.name, _Beat(0, now, "", now))
            if beat != seen.changed_ns:
                seen = replace(seen, changed_ns=beat, alive_at=now)
            if text and text != seen.text:
                seen = replace(seen, text=text, progress_at=now)
            self._beats[path.name] = seen
        unseen = [_Beat(0, self._started, "", self._started)] if len(self._beats) < self._count else []
        beats = [*self._beats.values(), *unseen]
        slowest = min(beats, key=lambda beat: beat.progress_at)
        phase = slowest.text.partition(" ")[0] or "starting"
        return Pulse(now - min(beat.alive_at for beat in beats), now - slowest.progress_at, phase)


class LocalExecutor:
    """burnish_trainer.executors.Executor over child processes.

    uuids: of the GPUs that jobs get as "cuda:0", "cuda:1", …; none: they run on the CPU. environment: what the worker gets beyond this process's own; secrets
    travel here, never in argv or files. warm_workers: 1 keeps a spare with its libraries loaded. access: for hosted jobs.
    """

    def __init__(
        self,
        work_dir: Path,
        base_model: Path,
        uuids: Sequence[str],
        environment: Mapping[str, str],
        command: Sequence[str] = launch.WORKER,
        warm_workers: int = 0,
        access: ProviderAccess | None = None,
    ) -> None:
        self._work_dir = work_dir.resolve()
        self._base_model = base_model.resolve()
        self._environment = dict(environment)
        self._command = tuple(command)
        self._uuids = tuple(uuids)
        self._device: backends.Device = "cuda" if uuids else "cpu"
        self._started: list[tuple[LocalWorker, Sequence[str]]] = []
        self._access = access or ProviderAccess({})
        self._spare: Spare | None = None
        if warm_workers:
            self._spare = Spare(backends.choose("auto", self._device).name, self._start_spare)

    @property
    def spare_pid(self) -> int | None:
        return self._spare.pid if self._spare else None

    def job_folder(self, job_id: str) -> Path:
        return self._work_dir / "jobs" / job_id

    def start(self, attempt: Attempt, devices: Sequence[str]) -> LocalWorker:
        folder = self._attempt_folder(attempt.job_id, attempt.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        environment = launch.device_environment(devices, self._uuids)
        assignment = Assignment(
            **{name: getattr(attempt, name) for name in Attempt.model_fields},
            base_model=self._base_model,
            device="cuda" if environment[VISIBLE] else "cpu",
            environment=environment,
        )
        (folder / "spec.json").write_text(assignment.model_dump_json(indent=1))
        (folder / LOG).touch()
        hosted = attempt.spec.hosted
        if hosted is not None:
            variables = {**self._access.of(hosted.provider), "TMPDIR": str(folder)}
            return LocalWorker(self._popen([*self._access.command, str(folder)], folder / LOG, variables), folder)
        process = self._hand_to_spare(folder, assignment) if len(devices) == 1 else None
        if process is None:
            command = launch.command(self._command, folder, devices)
            process = self._popen(command, folder / LOG, {**environment, "TMPDIR": str(folder)})
        worker = LocalWorker(process, folder, len(devices))
        self._started = [*self._running(), (worker, devices)]
        return worker

    def busy(self) -> set[str]:
        """The devices that workers are on now."""
        return {device for _, devices in self._running() for device in devices}

    def _running(self) -> list[tuple[LocalWorker, Sequence[str]]]:
        return [(worker, devices) for worker, devices in self._started if worker.exit_status() is None]

    def read_events(self, job_id: str, attempt: int, offset: int) -> bytes:
        try:
            with (self._attempt_folder(job_id, attempt) / "events.jsonl").open("rb") as events:
                events.seek(offset)
                return events.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def close(self) -> None:
        if self._spare is not None:
            self._spare.close()

    def _attempt_folder(self, job_id: str, attempt: int) -> Path:
        return self.job_folder(job_id) / f"attempt-{attempt}"

    def _hand_to_spare(self, folder: Path, assignment: Assignment) -> subprocess.Popen[bytes] | None:
        """None if there is no spare with what the job needs: its backend, and for nf4 on the CPU bitsandbytes, which a spare leaves out there."""
        if self._spare is None or assignment.device == "auto":
            return None
        if assignment.device == "cpu" and assignment.spec.quantization == "nf4":
            return None
        try:
            backend = backends.choose(assignment.spec.backend, assignment.device)
        except PreconditionError:
            return None  # the worker itself says so, as the job's failure
        return self._spare.hand_over(folder, backend.name)

    def _start_spare(self, backend: str) -> subprocess.Popen[bytes]:
        self._work_dir.mkdir(parents=True, exist_ok=True)
        log = self._work_dir / SPARE_LOG
        log.unlink(missing_ok=True)
        return self._popen([*self._command, "--wait", backend, self._device], log, {})

    def _kept_kernels(self) -> dict[str, str]:
        """Unsloth writes the trainers that it makes to the working directory, unless it is told where."""
        return {"UNSLOTH_COMPILE_LOCATION": str(self._work_dir / "unsloth")}

    def _popen(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**launch.base_environment(), **self._kept_kernels(), **self._environment, **environment},
                start_new_session=True,
            )


def _children(pid: int, recursive: bool = False) -> list[int]:
    """Parents before their children; empty if the process is gone."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive)]
    except psutil.NoSuchProcess:
        return []


def _readable(line: str) -> str:
    """A JSON log line as its message, with a traceback's last line. Any other line stays as it is."""
    try:
        record = json.loads(line)
        message, traceback = record["message"], record.get("traceback", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    return f"{message}: {traceback.splitlines()[-1]}" if traceback else str(message)
