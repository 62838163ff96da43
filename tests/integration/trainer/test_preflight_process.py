"""The preflight process as the trainer holds it: warm, alone with its requests, replaced when it dies, gone with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.errors import NotFoundError, ResourceExhaustedError, UnavailableError
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.service.settings import S3Settings
from burnish.testing import Seaweed
from burnish_trainer.preflight.process import CheckerProcess

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def store(seaweed: Seaweed) -> S3ObjectStore:
    store = seaweed.store("preflight-process")
    store.ensure_bucket()
    return store


@pytest.fixture(scope="module")
def environment(seaweed: Seaweed) -> dict[str, str]:
    return S3Settings(
        endpoint=seaweed.endpoint,
        access_key=seaweed.access_key,  # type: ignore[arg-type]  # pydantic wraps it
        secret_key=seaweed.secret_key,  # type: ignore[arg-type]
        bucket="preflight-process",
    ).environment()


@pytest.fixture(scope="module")
def checker(base_model_dir: Path, environment: dict[str, str]) -> Iterator[CheckerProcess]:
    checker = CheckerProcess(base_model_dir, environment)
    yield checker
    checker.close()


@pytest.fixture(scope="module")
def spec(store: S3ObjectStore) -> JobSpec:
    return job_spec(put_dataset(store, sft_rows(24), sft_rows(4, "v")))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.05)


def test_two_threads_at_a_time_get_each_their_own_answer(
    checker: CheckerProcess, store: S3ObjectStore, spec: JobSpec
) -> None:
    pairs = job_spec(put_dataset(store, dpo_rows(12), name="pairs"), "dpo")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(checker.check, [spec, pairs] * 4))
    rows = [answer.workload.rows for answer in answers if answer.workload]
    assert rows == [24, 12] * 4
    assert [answer.workload.reference_tokens > 0 for answer in answers if answer.workload] == [False, True] * 4


def test_once_warm_an_answer_takes_no_import(checker: CheckerProcess, spec: JobSpec) -> None:
    checker.check(spec)
    started = time.monotonic()
    checker.check(spec)
    assert time.monotonic() - started < 4.0


def test_its_errors_are_those_of_the_checks(checker: CheckerProcess, spec: JobSpec) -> None:
    with pytest.raises(NotFoundError, match="no dataset absent@"):
        checker.check(spec.model_copy(update={"dataset": VersionRef(name="absent", version="0" * 16)}))


def test_it_holds_no_device_and_no_callers_token(checker: CheckerProcess, spec: JobSpec) -> None:
    checker.check(spec)
    variables = Path(f"/proc/{checker.pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=" in variables
    assert not any(variable.startswith(b"BURNISH_TOKEN=") for variable in variables)


def test_it_loads_no_torch(checker: CheckerProcess, spec: JobSpec) -> None:
    checker.check(spec)
    assert "libtorch" not in Path(f"/proc/{checker.pid}/maps").read_text()


def test_killed_between_requests_it_is_started_again(checker: CheckerProcess, spec: JobSpec) -> None:
    expected, pid = checker.check(spec), checker.pid
    os.kill(pid, signal.SIGKILL)
    assert checker.check(spec) == expected
    assert checker.pid != pid


def test_killed_in_the_middle_of_a_request_it_is_asked_again(checker: CheckerProcess, spec: JobSpec) -> None:
    expected, pid = checker.check(spec), checker.pid
    os.kill(pid, signal.SIGSTOP)  # so that the request is under way for sure when it dies
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(checker.check, spec)
        time.sleep(0.3)
        assert not answer.done()
        os.kill(pid, signal.SIGKILL)
        assert answer.result(timeout=240) == expected


def test_a_request_that_takes_too_long_ends_the_process(base_model_dir: Path, spec: JobSpec) -> None:
    sleeping = (sys.executable, "-c", "import time; time.sleep(60)")
    checker = CheckerProcess(base_model_dir, {}, timeout_seconds=0.5, command=sleeping)
    pid = checker.pid
    with pytest.raises(ResourceExhaustedError, match=r"longer than 0\.5 s"):
        checker.check(spec)
    wait_until_gone(pid)
    checker.close()


def test_a_process_that_dies_over_every_request_is_the_jobs_own_doing(base_model_dir: Path, spec: JobSpec) -> None:
    checker = CheckerProcess(
        base_model_dir, {}, command=(sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)")
    )
    with pytest.raises(ResourceExhaustedError, match="died 2 times over this job, last by exit code 3"):
        checker.check(spec)
    checker.close()


HUNGRY = """
import json, sys
from burnish_trainer.preflight.checker import answer
for line in sys.stdin:
    print(json.dumps(answer(line.encode(), lambda spec: bytearray(700 << 20))), flush=True)
"""


def test_a_check_that_needs_too_much_memory_is_the_jobs_own_doing(base_model_dir: Path, spec: JobSpec) -> None:
    checker = CheckerProcess(base_model_dir, {}, command=(sys.executable, "-c", HUNGRY), memory_bytes=600 << 20)
    with pytest.raises(
        ResourceExhaustedError, match="preflight needs more than 600 MiB of memory: train on fewer rows"
    ):
        checker.check(spec)
    assert Path(f"/proc/{checker.pid}/oom_score_adj").read_text().strip() == "1000", "it is ended before others are"
    checker.close()


def test_a_request_that_nobody_waits_for_frees_the_process_for_the_next(base_model_dir: Path, spec: JobSpec) -> None:
    sleeping = (sys.executable, "-c", "import time; time.sleep(60)")
    checker = CheckerProcess(base_model_dir, {}, command=sleeping)
    pid = checker.pid
    first, second = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(checker.check, spec, first)
        time.sleep(0.2)
        waiting = pool.submit(checker.check, spec, second)
        second.set()
        assert isinstance(waiting.exception(timeout=20), UnavailableError)
        assert not running.done(), "it is not the one that was given up"
        first.set()
        assert isinstance(running.exception(timeout=20), UnavailableError)
    wait_until_gone(pid)
    checker.close()


def test_closing_ends_it_and_whoever_waits(base_model_dir: Path, environment: dict[str, str], spec: JobSpec) -> None:
    checker = CheckerProcess(base_model_dir, environment)
    pid, raised = checker.pid, threading.Event()

    def ask() -> None:
        with pytest.raises(UnavailableError, match="is closed"):
            checker.check(spec)
        raised.set()

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)  # it is still importing
    checker.close()
    thread.join(timeout=60)
    assert raised.is_set()
    wait_until_gone(pid)
    with pytest.raises(UnavailableError, match="is closed"):
        checker.check(spec)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_it_ends_with_its_parent(base_model_dir: Path, environment: dict[str, str], is_stopped: bool) -> None:
    """The parent is killed, so nothing is closed in order. A stopped child cannot see its input close."""
    code = (
        "import sys, time; from pathlib import Path; from burnish_trainer.preflight.process import CheckerProcess\n"
        f"print(CheckerProcess(Path({str(base_model_dir)!r}), {{}}).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    if is_stopped:
        wait_until_it_reads(pid)
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    wait_until_gone(pid)


def wait_until_it_reads(pid: int, seconds: float = 60.0) -> None:
    """Its second thread reads requests; all that it asks of the kernel comes before."""
    deadline = time.monotonic() + seconds
    while len(list(Path(f"/proc/{pid}/task").iterdir())) < 2:
        assert time.monotonic() < deadline, f"{pid} has one thread"
        time.sleep(0.05)


def test_it_outlives_the_thread_that_asked_for_it(base_model_dir: Path, environment: dict[str, str]) -> None:
    """The kernel ends a child with the thread that started it, and threads that ask come and go."""
    checker = CheckerProcess(base_model_dir, environment)
    os.kill(checker.pid, signal.SIGKILL)
    wait_until_gone(checker.pid)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(checker._living_child).result()
    wait_until_it_reads(checker.pid)
    time.sleep(0.5)
    assert is_alive(checker.pid)
    checker.close()
