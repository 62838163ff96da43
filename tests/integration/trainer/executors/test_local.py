"""How attempts are started: devices, command lines, the spare worker, heartbeats. Processes here are real and small."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from burnish_trainer.executors import Pulse, launch
from burnish_trainer.executors.local import LocalWorker
from burnish_trainer.executors.spare import Spare

TOLD = "import pathlib; pathlib.Path(input(), 'told').touch(); input()"
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
PARENT = [
    sys.executable,
    "-S",
    "-c",
    f"import subprocess, time; subprocess.Popen({SLEEP!r}, start_new_session=True); time.sleep(60)",
]


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


@pytest.mark.parametrize(
    ("devices", "visible"),
    [
        (["cpu"], ""),
        (["cpu", "cpu"], ""),
        (["cuda:1"], "GPU-b"),
        (["cuda:0", "cuda:2"], "GPU-a,MIG-c"),
    ],
)
def test_an_attempt_sees_its_own_devices_alone(devices: list[str], visible: str) -> None:
    assert launch.device_environment(devices, ["GPU-a", "GPU-b", "MIG-c"]) == {"CUDA_VISIBLE_DEVICES": visible}


def test_several_devices_are_launched_by_accelerate() -> None:
    assert launch.command(["python", "worker"], Path("/a"), ["cuda:0"]) == ["python", "worker", "/a"]
    several = launch.command(["python", "worker"], Path("/a"), ["cuda:0", "cuda:1"])
    assert several[1:3] == ["-m", "accelerate.commands.launch"]
    assert several[several.index("--num_processes") + 1] == "2"
    assert several[-3:] == ["-m", "burnish_trainer.worker.main", "/a"]
    assert launch.rank_and_world_size({}) == (0, 1)
    assert launch.rank_and_world_size({"RANK": "1", "WORLD_SIZE": "2"}) == (1, 2)


def test_the_callers_token_does_not_reach_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_TOKEN", "secret")
    assert "BURNISH_TOKEN" not in launch.base_environment()


def _waiting(_backend: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", TOLD], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.fixture
def kept() -> Iterator[Spare]:
    kept = Spare("peft", _waiting, settle_seconds=0, restart_seconds=0)
    yield kept
    kept.close()


def test_the_spare_is_handed_the_folder_and_another_takes_its_place(kept: Spare, tmp_path: Path) -> None:
    first = until(lambda: kept.pid)
    taken = kept.hand_over(tmp_path, "peft")
    assert taken is not None
    assert taken.pid == first
    until((tmp_path / "told").exists)
    assert until(lambda: kept.pid) != first
    assert taken.stdin
    assert taken.poll() is None
    taken.stdin.close()
    taken.wait()


def test_a_spare_of_another_backend_is_not_used(kept: Spare, tmp_path: Path) -> None:
    first = until(lambda: kept.pid)
    assert kept.hand_over(tmp_path, "unsloth") is None
    assert kept.pid == first


def test_a_dead_spare_is_replaced_and_none_is_left_when_closed(kept: Spare, tmp_path: Path) -> None:
    first = until(lambda: kept.pid)
    os.kill(first, signal.SIGKILL)
    second = until(lambda: kept.pid != first and kept.pid)
    kept.close()
    kept.close()
    assert kept.hand_over(tmp_path, "peft") is None
    assert not Path(f"/proc/{second}").exists()


def test_a_worker_is_killed_with_all_it_started_across_sessions(tmp_path: Path) -> None:
    parent = subprocess.Popen(PARENT, stdin=subprocess.PIPE, start_new_session=True)
    (child,) = until(lambda: psutil.Process(parent.pid).children(recursive=True))
    LocalWorker(parent, tmp_path).kill()
    assert parent.poll() == -signal.SIGKILL
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def pulse(worker: LocalWorker) -> Pulse:
    seen = worker.pulse()
    assert seen is not None
    return seen


def test_the_pulse_is_of_the_process_that_is_silent_longest(tmp_path: Path) -> None:
    process = subprocess.Popen(SLEEP, stdin=subprocess.PIPE, start_new_session=True)
    worker = LocalWorker(process, tmp_path, count=2)
    (tmp_path / "heartbeat").touch()
    time.sleep(0.2)
    assert pulse(worker).silent_seconds >= 0.2  # the other one has never shown itself: counted from the start
    (tmp_path / "heartbeat.1").touch()
    pulse(worker)
    time.sleep(1.0)
    os.utime(tmp_path / "heartbeat", (0, 0))  # a clock set back is a sign of life all the same
    os.utime(tmp_path / "heartbeat.1", (1, 1))
    assert pulse(worker).silent_seconds < 0.9
    worker.kill()
    assert worker.pulse() is None


def test_a_process_that_lives_and_makes_no_progress_is_seen(tmp_path: Path) -> None:
    """Both processes' heartbeats go on; one says that it is at the same step all the time, as in a stuck collective."""
    worker = LocalWorker(subprocess.Popen(SLEEP, stdin=subprocess.PIPE, start_new_session=True), tmp_path, count=2)

    def beat(process: int, text: str) -> None:
        path = tmp_path / ("heartbeat" if process == 0 else f"heartbeat.{process}")
        path.write_text(text.ljust(64))
        os.utime(path, ns=(time.time_ns(), time.time_ns()))

    beat(0, "training 7")
    beat(1, "evaluating 8")
    assert pulse(worker).stalled_seconds < 0.9
    time.sleep(1.0)
    beat(0, "training 7")
    beat(1, "evaluating 9")
    seen = pulse(worker)
    assert (seen.phase, seen.silent_seconds < 0.9) == ("training", True)
    assert seen.stalled_seconds >= 1.0
    beat(0, "")  # read between two writes: no news
    assert pulse(worker).stalled_seconds >= 1.0
    worker.kill()


HANGING = """
import sys, time
from pathlib import Path
from burnish_trainer.executors.lifeline import Lifeline
lifeline = Lifeline()
lifeline.beat(Path(sys.argv[1]))
for _ in range(3):
    time.sleep(0.7)
    lifeline.progress("training")
lifeline.progress("saving")
time.sleep(60)
"""


def test_a_workers_heartbeat_says_what_its_training_thread_last_did(tmp_path: Path) -> None:
    hanging = [sys.executable, "-c", HANGING, str(tmp_path)]
    worker = LocalWorker(subprocess.Popen(hanging, stdin=subprocess.PIPE, start_new_session=True), tmp_path)
    until(lambda: pulse(worker).phase == "training")
    until(lambda: pulse(worker).phase == "saving")
    until(lambda: pulse(worker).stalled_seconds > 2.5)
    assert pulse(worker).silent_seconds < 2.5, "its heartbeat has a thread of its own"
    worker.kill()


ORPHANED = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {HANGING!r}, sys.argv[1]], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def states_of_threads(pid: int) -> list[str]:
    """A letter each, as /proc has it. A thread that has not stopped yet may still see its input close."""
    return [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_worker_ends_with_its_trainer_even_while_it_is_stopped(tmp_path: Path, is_stopped: bool) -> None:
    """One that stayed would hold its device, and its job's lock against the next attempt."""
    trainer = subprocess.Popen([sys.executable, "-c", ORPHANED, str(tmp_path)], stdout=subprocess.PIPE)
    assert trainer.stdout is not None
    worker = psutil.Process(int(trainer.stdout.readline()))
    until((tmp_path / "heartbeat").exists)
    if is_stopped:
        worker.suspend()
        until(lambda: set(states_of_threads(worker.pid)) == {"T"})
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"message": "attempt failed", "traceback": "Traceback:\\n  at x\\nValueError: boom"}',
            "attempt failed: ValueError: boom",
        ),
        ('{"message": "attempt taken up"}', "attempt taken up"),
        ("Segmentation fault", "Segmentation fault"),
        ('["no", "record"]', '["no", "record"]'),
        ('ncated", "traceback": "…"}', 'ncated", "traceback": "…"}'),
    ],
)
def test_the_last_log_line_is_for_people(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "worker.log").write_text(f"first\n{line}\n")
    with subprocess.Popen(["true"]) as process:
        assert LocalWorker(process, tmp_path).last_log_line() == words
