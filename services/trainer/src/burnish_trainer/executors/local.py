"""Runs each attempt as a process of this machine, in a session of its own, out of a folder under the work directory.

<work_dir>/jobs/<job_id>/attempt-<n>/{spec.json, events.jsonl, worker.log}; checkpoints stand beside the attempts.
The worker's standard input is a pipe that this process holds open: when it is gone, the worker ends itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from burnish_trainer.assignment import Assignment
from burnish_trainer.jobs import Job

WORKER = (sys.executable, "-m", "burnish_trainer.worker")
LAST_WORDS_BYTES = 4096


class LocalWorker:
    """burnish_trainer.executors.Worker over a child process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def exit_status(self) -> str | None:
        code = self.process.poll()
        if code is None:
            return None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """By process group, which outlives its leader while any member lives."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LAST_WORDS_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


class LocalExecutor:
    """burnish_trainer.executors.Executor over child processes.

    environment: what the worker gets beyond this process's own; secrets travel here, never in argv or files.
    """

    def __init__(
        self,
        work_dir: Path,
        base_model: Path,
        device: str,
        environment: Mapping[str, str],
        command: Sequence[str] = WORKER,
    ) -> None:
        self._jobs = work_dir.resolve() / "jobs"
        self._base_model = base_model.resolve()
        self._device = device
        self._environment = dict(environment)
        self._command = tuple(command)

    def job_folder(self, job_id: str) -> Path:
        return self._jobs / job_id

    def _attempt_folder(self, job: Job) -> Path:
        return self.job_folder(job.job_id) / f"attempt-{job.attempts}"

    def start(self, job: Job) -> LocalWorker:
        folder = self._attempt_folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        assignment = Assignment(
            job_id=job.job_id,
            attempt=job.attempts,
            spec=job.spec,
            base_model=self._base_model,
            device=self._device,  # type: ignore[arg-type]  # validated by pydantic
        )
        (folder / "spec.json").write_text(assignment.model_dump_json(indent=1))
        log = folder / "worker.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._command, str(folder)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=_base_environment() | self._environment | {"TMPDIR": str(folder)},
                start_new_session=True,
            )
        return LocalWorker(process, log)

    def read_events(self, job: Job) -> bytes:
        path = self._attempt_folder(job) / "events.jsonl"
        if not path.is_file():
            return b""
        with path.open("rb") as events:
            events.seek(job.event_offset)
            return events.read()


def _base_environment() -> dict[str, str]:
    """This process's environment without the callers' token, and quiet, offline model libraries."""
    inherited = {name: value for name, value in os.environ.items() if name != "BURNISH_TOKEN"}
    return inherited | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads starve the step itself where cores are shared
        "PYTHONUNBUFFERED": "1",
    }
