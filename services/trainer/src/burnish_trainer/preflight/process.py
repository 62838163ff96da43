"""Preflight in a process of its own: the server never imports a model library, and a check that dies takes nothing with it.

The child is `python -m burnish_trainer.preflight.checker <base model folder>`: one JSON line in, one out. Its standard
input is a pipe that this process holds open; when it closes, the child ends itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import IO, Any

from burnish.errors import ResourceExhaustedError, UnavailableError, from_dict
from burnish.schemas.training.hosted import VARIABLES
from burnish.schemas.training.job import JobSpec
from burnish.telemetry.tracing import traceparent
from burnish_trainer.preflight.types import CheckReport

log = logging.getLogger(__name__)

CHECKER = (sys.executable, "-m", "burnish_trainer.preflight.checker")
TIMEOUT_SECONDS = 600.0
MEMORY_BYTES = 8 << 30
END_SECONDS = 5.0
LOOK_SECONDS = 0.1
TRIES = 2


GIVEN_UP = "nobody waits for this preflight any more"


class CheckerDied(Exception):
    """The child ended before it answered."""


@dataclass(frozen=True)
class _Limit:
    """Of one request: until when it may take, on the monotonic clock, and whether somebody still waits for it."""

    deadline: float
    given_up: Event

    @property
    def is_over(self) -> bool:
        return self.given_up.is_set() or time.monotonic() >= self.deadline


class CheckerProcess:
    """burnish_trainer.preflight.types.Checker over a child process that is started at once and kept.

    environment: what the child gets beyond this process's own (the object store's keys); never in argv. One request runs
    at a time, others wait their turn. timeout_seconds: of one request, its wait included. memory_bytes: what the child may
    allocate; where the whole machine is short of memory before that, it is the first to be ended.
    """

    def __init__(
        self,
        base_model: Path,
        environment: Mapping[str, str],
        timeout_seconds: float = TIMEOUT_SECONDS,
        command: Sequence[str] = CHECKER,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._command = [*command, str(base_model.resolve())]
        self._environment = _environment(environment)
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._turn = threading.Lock()
        self._is_closed = False
        # The kernel ends a child with the thread that started it, and threads that ask come and go.
        self._starter = ThreadPoolExecutor(1, "preflight-starter")
        self._child = self._new_child()

    @property
    def pid(self) -> int:
        """Of the child as it is now."""
        return self._child.pid

    def check(self, spec: JobSpec, given_up: Event | None = None) -> CheckReport:
        """The checks of a job. The child's own error if it answers with one (NotFoundError, CorruptDataError, …);
        ResourceExhaustedError if it died twice over this request or took too long; UnavailableError if it is closed, busy
        with others, or given up."""
        limit = _Limit(time.monotonic() + self._timeout_seconds, given_up or Event())
        while not self._turn.acquire(timeout=LOOK_SECONDS):
            if limit.is_over:
                waited = f"preflight was busy with other jobs for {self._timeout_seconds:g} s: try again later"
                raise UnavailableError(GIVEN_UP if limit.given_up.is_set() else waited)
        try:
            return self._ask(spec, limit)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the child. A request that is under way raises UnavailableError. No effect the second time."""
        self._is_closed = True
        self._child.end()

    def _ask(self, spec: JobSpec, limit: _Limit) -> CheckReport:
        request = {"spec": spec.model_dump(mode="json"), "traceparent": traceparent()}
        for number in range(1, TRIES + 1):
            try:
                return _report(self._living_child().ask(request, limit))
            except CheckerDied:
                self._child.end()  # its output closes a moment before it is gone
                log.warning("the preflight process ended by %s on try %d", self._child.exit_status(), number)
            except TimeoutError:
                self._child.end()
                if limit.given_up.is_set():
                    raise UnavailableError(GIVEN_UP) from None
                raise ResourceExhaustedError(
                    f"preflight took longer than {self._timeout_seconds:g} s and was ended: train on fewer rows"
                ) from None
        raise ResourceExhaustedError(
            f"the preflight process died {TRIES} times over this job, last by {self._child.exit_status()}, as one does that "
            "needs more memory than there is: the trainer's log has its last lines"
        )

    def _living_child(self) -> _Child:
        if self._is_closed:
            raise UnavailableError("preflight is closed: the trainer is stopping")
        if not self._child.is_alive():
            self._child.end()
            self._child = self._new_child()
        return self._child

    def _new_child(self) -> _Child:
        return self._starter.submit(_Child, self._command, self._environment, self._memory_bytes).result()


class _Child:
    """One life of the checker."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], memory_bytes: int) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment), start_new_session=True
        )
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("1000")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(target=self._read, args=(self._process.stdout,), name="preflight-reader", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exit_status(self) -> str:
        code = self._process.poll()
        return "nothing yet" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    def ask(self, request: Mapping[str, Any], limit: _Limit) -> dict[str, Any]:
        """CheckerDied if it ended; TimeoutError if no answer came within the limit."""
        try:
            self._stdin.write(json.dumps(request).encode() + b"\n")
            self._stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed by close()
            raise CheckerDied from error
        while not limit.is_over:
            with contextlib.suppress(Empty):
                answer = self._answers.get(timeout=LOOK_SECONDS)
                if answer is None:
                    raise CheckerDied
                body: dict[str, Any] = json.loads(answer)
                return body
        raise TimeoutError

    def end(self) -> None:
        """Close its input, which ends it; kill it if that does not help."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                self._answers.put(line)
        self._answers.put(None)


def _report(answer: Mapping[str, Any]) -> CheckReport:
    if "error" in answer:
        raise from_dict(answer["error"])
    return CheckReport.model_validate(answer["report"])


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's without the callers' token and the providers' credentials, offline and without any device."""
    secret = {"BURNISH_TOKEN", *VARIABLES}
    inherited = {name: value for name, value in os.environ.items() if name not in secret}
    return {
        **inherited,
        **extra,
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "true",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONUNBUFFERED": "1",
    }
