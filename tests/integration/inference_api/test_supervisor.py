"""The supervisor and its guard, over a real program that crashes, hangs, and has children of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi import FastAPI

from burnish.errors import InternalError, PreconditionError, UnavailableError
from burnish_inference.api.serving import listen, serve
from burnish_inference.engine.child import GUARD
from burnish_inference.engine.supervisor import Policy, State, Supervisor

PROGRAM = Path(__file__).with_name("child_program.py")
PIDS = re.compile(r"pids (\d+) (\d+)\n")
QUICK = Policy(
    start_limit=10,
    hang_limit=0.3,
    poll_interval=0.05,
    canary_interval=0.2,
    probe_timeout=0.2,
    first_backoff=0.01,
    longest_backoff=0.05,
    stop_grace=0.5,
)


def supervisor(tmp_path: Path, *modes: str, policy: Policy = QUICK, is_held: bool = False) -> Supervisor:
    """Its child's modes, one a start; the last one stays."""
    left = list(modes)

    def launch(socket: Path):
        mode = left.pop(0) if len(left) > 1 else left[0]
        return [sys.executable, "-S", str(PROGRAM), str(socket), mode], os.environ

    return Supervisor(launch, "tiny", tmp_path / "vllm.log", policy, is_held)


async def until(condition, seconds: float = 8) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def tell(engine: Supervisor, path: str) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(engine.socket))
    async with httpx.AsyncClient(transport=transport, timeout=1) as client:
        try:
            await client.get(engine.address + path)
        except httpx.TransportError:
            return


def family(log: Path) -> list[psutil.Process]:
    """The program and its child, as its log names them."""
    words = PIDS.search(log.read_text())
    assert words is not None
    return [psutil.Process(int(pid)) for pid in words.groups()]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not any(is_alive(process) for process in processes)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended between the two questions
        return False


async def test_it_starts_serves_and_leaves_nothing_behind(tmp_path):
    async with supervisor(tmp_path, "well") as engine:
        with pytest.raises(UnavailableError, match="starting"):
            _ = engine.url
        await until(lambda: engine.state is State.READY)
        assert engine.generation == 1
        assert engine.url
        assert engine.socket.parent.stat().st_mode & 0o777 == 0o700
        assert await engine.check()
        processes = family(engine.log_path)
        sockets = Path(processes[0].environ()["VLLM_RPC_BASE_PATH"])
        (sockets / "left-by-the-killed").touch()
    assert engine.state is State.STOPPED
    assert all_gone(processes)
    assert not sockets.exists()


async def test_a_crash_is_followed_by_a_restart_on_a_new_generation(tmp_path):
    async with supervisor(tmp_path, "well") as engine:
        await until(lambda: engine.state is State.READY)
        processes = family(engine.log_path)
        await tell(engine, "/exit")
        await until(lambda: engine.state is not State.READY)
        with pytest.raises(UnavailableError, match="restarting"):
            _ = engine.url
        await until(lambda: engine.generation == 2)
        await until(lambda: all_gone(processes))
        assert "pids" in (tmp_path / "vllm.log.1").read_text()


async def test_a_hang_ends_in_a_restart(tmp_path):
    async with supervisor(tmp_path, "well") as engine:
        await until(lambda: engine.state is State.READY)
        processes = family(engine.log_path)
        await tell(engine, "/hang")
        await until(lambda: engine.generation == 2)
        assert all_gone(processes)


async def test_a_dead_engine_behind_a_living_server_ends_in_a_restart(tmp_path):
    slow_poll = Policy(**{**QUICK.__dict__, "poll_interval": 0.5})
    async with supervisor(tmp_path, "well", policy=slow_poll) as engine:
        await until(lambda: engine.state is State.READY)
        await tell(engine, "/ill")
        assert not await engine.check()
        with pytest.raises(UnavailableError):  # at once, ahead of the next poll
            _ = engine.url
        await until(lambda: engine.generation == 2)


async def test_an_engine_that_answers_nonsense_ends_in_a_restart(tmp_path):
    async with supervisor(tmp_path, "well") as engine:
        await until(lambda: engine.state is State.READY)
        await asyncio.sleep(0.5)
        assert engine.generation == 1  # several canary prompts later
        await tell(engine, "/nonsense")
        await until(lambda: engine.generation == 2)


async def test_who_asks_learns_of_nonsense_at_once(tmp_path):
    rarely = Policy(**{**QUICK.__dict__, "canary_interval": 600, "poll_interval": 0.5})
    async with supervisor(tmp_path, "well", policy=rarely) as engine:
        await until(lambda: engine.state is State.READY)
        assert await engine.examine()
        await tell(engine, "/nonsense")
        assert not await engine.examine()
        with pytest.raises(UnavailableError):
            _ = engine.url
        await until(lambda: engine.generation == 2)


async def test_held_it_ends_and_starts_again_only_when_released(tmp_path):
    seen: list[bool] = []
    async with supervisor(tmp_path, "well") as engine:
        engine.watch(seen.append)
        await until(lambda: engine.state is State.READY)
        processes = family(engine.log_path)
        await engine.hold()
        assert all_gone(processes)
        with pytest.raises(UnavailableError, match="held"):
            _ = engine.url
        await asyncio.sleep(0.2)
        assert (engine.state, engine.generation) == (State.HELD, 1)
        engine.release()
        await until(lambda: engine.state is State.READY)
        assert (engine.generation, engine.restarts) == (2, 0)
    assert seen == [True, False, True, False]


async def test_a_start_is_ended_by_a_hold(tmp_path):
    async with supervisor(tmp_path, "never") as engine:
        await until(lambda: engine.log_path.exists() and PIDS.search(engine.log_path.read_text()))
        processes = family(engine.log_path)
        await engine.hold()
        assert all_gone(processes)
        assert engine.generation == 0
        assert not engine.failed.done()


async def test_it_may_begin_held(tmp_path):
    async with supervisor(tmp_path, "well", is_held=True) as engine:
        await engine.hold()  # at once: there is nothing to end
        assert not engine.log_path.exists()
        engine.release()
        await until(lambda: engine.state is State.READY)


async def test_asleep_nobody_asks_it_and_only_its_death_counts(tmp_path):
    seen: list[bool] = []
    async with supervisor(tmp_path, "well") as engine:
        await until(lambda: engine.state is State.READY)
        engine.watch(seen.append)
        engine.suspend()
        await tell(engine, "/nonsense")
        with pytest.raises(UnavailableError, match="asleep"):
            _ = engine.url
        with pytest.raises(UnavailableError):
            engine.suspend()
        await asyncio.sleep(0.5)
        assert (engine.state, engine.generation, seen) == (State.ASLEEP, 1, []), "no canary prompt was asked"
        await tell(engine, "/exit")
        await until(lambda: engine.generation == 2)
        assert seen == [False, True]
        with pytest.raises(UnavailableError):
            engine.resume()
        engine.suspend()
        engine.resume()
        assert engine.url


async def test_a_program_that_ignores_sigterm_is_killed_with_its_child(tmp_path):
    async with supervisor(tmp_path, "stubborn") as engine:
        await until(lambda: engine.state is State.READY)
        processes = family(engine.log_path)
    assert all_gone(processes)


async def test_a_first_start_that_fails_is_final_and_shows_the_last_lines(tmp_path):
    async with supervisor(tmp_path, "refuse") as engine:
        with pytest.raises(InternalError, match=r"(?s)exit code 1.*vllm\.log.*ValueError: this model cannot be served"):
            await asyncio.wait_for(asyncio.shield(engine.failed), 8)
        assert engine.state is State.FAILED
        with pytest.raises(UnavailableError, match="failed"):
            _ = engine.url


async def test_a_start_has_a_time_limit(tmp_path):
    limited = Policy(**{**QUICK.__dict__, "start_limit": 0.6})
    async with supervisor(tmp_path, "never", policy=limited) as engine:
        await until(lambda: engine.log_path.exists() and PIDS.search(engine.log_path.read_text()))
        processes = family(engine.log_path)
        with pytest.raises(InternalError, match="was not healthy after"):
            await asyncio.wait_for(asyncio.shield(engine.failed), 8)
        await until(lambda: all_gone(processes))


async def test_restarts_that_fail_are_tried_again(tmp_path):
    async with supervisor(tmp_path, "well", "refuse", "refuse", "well") as engine:
        await until(lambda: engine.state is State.READY)
        await tell(engine, "/exit")
        await until(lambda: engine.generation == 2)
        assert engine.restarts == 3


async def test_leaving_while_it_starts_ends_the_child(tmp_path):
    async with supervisor(tmp_path, "never") as engine:
        await until(lambda: engine.log_path.exists() and PIDS.search(engine.log_path.read_text()))
        processes = family(engine.log_path)
    assert all_gone(processes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_the_program_dies_with_whoever_started_its_guard(tmp_path, number):
    """The starter is a process of its own here, killed as the server may be."""
    log = tmp_path / "log"
    command = [
        sys.executable,
        "-S",
        str(GUARD),
        "0.5",
        str(tmp_path / "s"),
        sys.executable,
        "-S",
        str(PROGRAM),
        "-",
        "never",
    ]
    code = f"import subprocess, time; p = subprocess.Popen({command!r}, stdin=subprocess.PIPE, start_new_session=True); time.sleep(600)"
    with log.open("wb") as output:
        starter = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=output)
    await until(lambda: PIDS.search(log.read_text()))
    processes = [*family(log), *psutil.Process(starter.pid).children()]
    starter.send_signal(number)
    starter.wait()
    await until(lambda: all_gone(processes))


async def test_the_program_ends_when_its_guard_is_killed(tmp_path):
    async with supervisor(tmp_path, "well") as engine:
        await until(lambda: engine.state is State.READY)
        program, child = family(engine.log_path)
        program.parent().kill()
        await until(lambda: all_gone([program]))
        child.kill()  # nobody is left to end it: vLLM's own children end with it
        await until(lambda: engine.generation == 2)


async def test_sigterm_drains_running_requests_and_then_ends_the_engine(tmp_path):
    app, entered = FastAPI(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        entered.set()
        await asyncio.sleep(0.5)
        return "done"

    async with supervisor(tmp_path, "well") as engine:
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(serve(app, listener, 5, engine))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            asking = asyncio.create_task(answered(client))
            await asyncio.wait_for(entered.wait(), 8)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (await asking).json() == "done"
        await asyncio.wait_for(serving, 8)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def answered(client: httpx.AsyncClient) -> httpx.Response:
    """GET /slow, once the server listens."""
    while True:
        try:
            return await client.get("/slow")
        except httpx.ConnectError:
            await asyncio.sleep(0.02)


async def test_serve_ends_with_the_engines_error_when_its_first_start_fails(tmp_path):
    async with supervisor(tmp_path, "refuse") as engine:
        with pytest.raises(InternalError, match="cannot be served"):
            await asyncio.wait_for(serve(FastAPI(), listen("127.0.0.1", 0), 1, engine), 8)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


def test_an_address_in_use_is_told_before_anything_is_started():
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        with pytest.raises(PreconditionError, match="BURNISH_INFERENCE_PORT"):
            listen("127.0.0.1", taken.getsockname()[1])
