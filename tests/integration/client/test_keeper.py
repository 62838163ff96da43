"""A part's life under its keeper, with real small processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from burnish.errors import UnavailableError
from burnish_client.stack import processes
from burnish_client.stack.keeper import Keeper, RestartPolicy
from burnish_client.stack.parts import Part
from burnish_client.stack.state import PartStatus, ProcessIdentity

QUICK = RestartPolicy(most=2, first_pause_seconds=0.01, probe_interval_seconds=0.05, hung_seconds=0.2)
READY_FILE = "import pathlib, signal, sys, time; pathlib.Path('ready').write_text(''); "
SLEEP = READY_FILE + "time.sleep(60)"


class Stage:
    """A keeper over `python -c CODE`, the states it went through, and switches for its checks."""

    def __init__(self, home: Path, code: str, start_limit_seconds: float = 10.0, grace_seconds: float = 0.3) -> None:
        (home / "logs").mkdir()
        self.home = home
        self.answers = True
        self.ready = True
        self.reports: list[PartStatus] = []
        part = Part(
            name="curator",
            argv=[sys.executable, "-S", "-c", code],
            env=dict(os.environ),
            address="127.0.0.1:1",
            started=self._started,
            ready=self._is_ready,
            alive=self._is_alive,
            start_limit_seconds=start_limit_seconds,
            grace_seconds=grace_seconds,
        )
        self.keeper = Keeper(part, home, self.reports.append, self._clean, QUICK)

    async def _started(self) -> bool:
        return (self.home / "ready").exists()

    async def _is_ready(self) -> bool:
        return self.ready

    async def _is_alive(self) -> bool:
        return self.answers

    async def _clean(self) -> None:
        (self.home / "ready").unlink(missing_ok=True)

    @property
    def states(self) -> list[str]:
        """Without repetitions."""
        names = [report.state for report in self.reports]
        return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


async def until(condition: Callable[[], bool], limit_seconds: float = 5.0) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.01)


async def test_start_then_stop(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SLEEP)
    await stage.keeper.start()
    process = stage.keeper.status.process
    assert process is not None
    assert process.is_alive()
    assert os.getsid(process.pid) == process.pid
    await stage.keeper.stop()
    assert not process.is_alive()
    assert stage.states == ["starting", "healthy", "ended"]


async def test_a_part_that_ends_while_starting_is_told_with_its_exit_code_and_log(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "import sys; print('what went wrong'); sys.exit(3)")
    with pytest.raises(UnavailableError, match="exit code 3"):
        await stage.keeper.start()
    assert "what went wrong" in (tmp_path / "logs" / "curator.log").read_text()
    await stage.keeper.stop()


async def test_a_part_that_is_not_ready_in_time_is_told_and_ended(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "import time; time.sleep(60)", start_limit_seconds=0.3)
    with pytest.raises(UnavailableError, match="not ready after 0 s"):
        await stage.keeper.start()
    pid = stage.keeper.pid
    assert pid is not None
    await stage.keeper.stop()
    assert ProcessIdentity.of(pid) is None


async def test_a_program_that_does_not_exist_is_named_in_the_log(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "")
    stage.keeper.part.argv[:] = ["/nowhere/python"]
    with pytest.raises(UnavailableError):
        await stage.keeper.start()
    assert "/nowhere/python: No such file" in (tmp_path / "logs" / "curator.log").read_text()
    await stage.keeper.stop()


async def test_a_killed_part_comes_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SLEEP)
    await stage.keeper.start()
    keeping = asyncio.create_task(stage.keeper.keep())
    first = stage.keeper.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: stage.keeper.status.restarts == 1 and stage.keeper.status.state == "healthy")
    assert stage.keeper.pid not in (None, first)
    assert "killed by signal 9" in (stage.keeper.status.reason or "")
    keeping.cancel()
    await stage.keeper.stop()


async def test_a_part_that_answers_no_more_is_restarted(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SLEEP)
    await stage.keeper.start()
    keeping = asyncio.create_task(stage.keeper.keep())
    stage.answers = False
    await until(lambda: stage.keeper.status.state == "restarting")
    stage.answers = True
    await until(lambda: stage.keeper.status.state == "healthy")
    assert "did not answer" in (stage.keeper.status.reason or "")
    keeping.cancel()
    await stage.keeper.stop()


async def test_a_part_that_is_not_ready_for_a_while_is_shown_so_and_left_running(tmp_path: Path) -> None:
    stage = Stage(tmp_path, SLEEP)
    await stage.keeper.start()
    keeping = asyncio.create_task(stage.keeper.keep())
    pid = stage.keeper.pid
    stage.ready = False
    await until(lambda: stage.keeper.status.state == "unready")
    stage.ready = True
    await until(lambda: stage.keeper.status.state == "healthy")
    assert stage.keeper.pid == pid
    keeping.cancel()
    await stage.keeper.stop()


async def test_restarts_are_bounded(tmp_path: Path) -> None:
    stage = Stage(tmp_path, READY_FILE + "time.sleep(0.1); sys.exit(7)")
    await stage.keeper.start()
    await asyncio.wait_for(stage.keeper.keep(), 10)
    assert stage.keeper.status.state == "failed"
    assert "exit code 7; given up after 2 restarts" in (stage.keeper.status.reason or "")
    await stage.keeper.stop()
    assert stage.keeper.status.state == "failed"


async def test_stop_kills_what_ignores_sigterm_and_what_it_had_started(tmp_path: Path) -> None:
    child = "import subprocess; p = subprocess.Popen(['sleep', '60']); pathlib.Path('child').write_text(str(p.pid)); "
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); import pathlib; " + child + SLEEP
    stage = Stage(tmp_path, code)
    await stage.keeper.start()
    child_pid = int((tmp_path / "child").read_text())
    leader_pid = stage.keeper.pid
    assert leader_pid is not None
    started = time.monotonic()
    await stage.keeper.stop()
    assert time.monotonic() - started < 5
    await until(lambda: ProcessIdentity.of(leader_pid) is None and ProcessIdentity.of(child_pid) is None)


async def test_a_spawned_part_dies_with_its_parent(tmp_path: Path) -> None:
    """The parent is a process of its own here, killed with SIGKILL."""
    code = (
        "import asyncio, os, pathlib; from burnish_client.stack import processes\n"
        "async def main():\n"
        "    p = await processes.spawn(['sleep', '60'], os.environ, pathlib.Path('.'), pathlib.Path('log'))\n"
        "    print(p.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    parent.kill()
    await parent.wait()
    await until(lambda: ProcessIdentity.of(pid) is None)


async def test_a_leftover_is_killed_with_its_session_and_a_gone_one_is_no_error(tmp_path: Path) -> None:
    code = "import os, subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert leader.stdout is not None
    child_pid = int(await leader.stdout.readline())
    identity = ProcessIdentity.of(leader.pid)
    assert identity is not None
    assert await asyncio.to_thread(processes.end_leftover, identity)
    await leader.wait()
    await until(lambda: ProcessIdentity.of(child_pid) is None)
    assert not processes.end_leftover(identity)


def test_what_a_dead_part_left_is_killed_and_reaped_to_the_last_generation() -> None:
    """A child dies that has a child with a child of its own, each in a session of its own; another child is kept."""
    code = (
        "import os, psutil, signal, subprocess, sys, time\n"
        "from burnish_client.stack import processes\n"
        "processes.adopt_orphans()\n"
        'nest = \'import subprocess, sys, time; n = int(sys.argv[1]); a = [sys.executable, "-S", "-c", sys.argv[2], str(n - 1), sys.argv[2]]\\n\'\n'
        "nest += 'n and subprocess.Popen(a, start_new_session=True); time.sleep(60)'\n"
        "kept = subprocess.Popen(['sleep', '60'])\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', nest, '2', nest], start_new_session=True)\n"
        "while len(psutil.Process().children(recursive=True)) < 4: time.sleep(0.01)\n"
        "child.kill(); child.wait()\n"
        "processes.end_adopted([kept.pid])\n"
        "print([process.pid == kept.pid for process in psutil.Process().children(recursive=True)])\n"
        "processes.end_adopted([])\n"
        "print(psutil.Process().children())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == ["[True]", "[]"], done.stderr
