"""An asking process killed in the middle: the next run asks what is missing and nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from integration.evaluation.chat_server import ChatServer, ask, serving
from unit.evaluation.questions import make_questions

from burnish_client.evaluation.request import Endpoint

CONCURRENCY = 4
ASKER = """
import asyncio, sys
from pathlib import Path
from burnish_client.evaluation.request import Endpoint
from integration.evaluation.chat_server import ask
from unit.evaluation.questions import make_questions
asyncio.run(ask(Endpoint(sys.argv[1]), "m", make_questions(200), concurrency=int(sys.argv[3]), out=Path(sys.argv[2])))
"""


async def test_killed_run_resumes_and_asks_nothing_twice(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"
    with serving(ChatServer(delay_seconds=0.02)) as server:
        process = _start_asker(server.url, log)
        _wait_for_lines(log, 30)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        logged = log.read_bytes().count(b"\n")
        assert 30 <= logged < 200
        while server.in_flight:
            time.sleep(0.01)
        asked_before = set(server.served)
        server.delay_seconds = 0.0
        answers = await ask(Endpoint(server.url), "m", make_questions(200), concurrency=CONCURRENCY, out=log)
    assert [a.text for a in answers] == [f"m: q{i:04d}" for i in range(200)]
    twice = [key for key, count in server.served.items() if count > 1]
    assert len(twice) <= CONCURRENCY, "only what was in flight at the kill may have been served without being logged"
    assert len(asked_before) - len(twice) == logged
    assert log.read_bytes().count(b"\n") == 200


def _start_asker(url: str, log: Path) -> subprocess.Popen[bytes]:
    tests = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", ASKER, url, str(log), str(CONCURRENCY)], env=os.environ | {"PYTHONPATH": tests}
    )


def _wait_for_lines(log: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if log.exists() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{log} did not reach {count} lines")
