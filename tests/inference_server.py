"""The real inference service, with vLLM behind it: started as a process of its own, or found in a running stack."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

TOKEN = "test-token-of-the-inference-server"
START_LIMIT_SECONDS = 240


@dataclass
class InferenceServer:
    """A running `python -m burnish_inference.main`."""

    process: psutil.Process
    port: int
    log: Path
    token: str = TOKEN
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=120, trust_env=False
        )

    def is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def has_ended(self) -> bool:
        return not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE

    def wait_ready(self, limit_seconds: float = START_LIMIT_SECONDS) -> None:
        deadline = time.monotonic() + limit_seconds
        while not self.is_ready():
            if self.has_ended() or time.monotonic() > deadline:
                pytest.fail(f"the server is not ready; the end of its log:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)


def find_python() -> Path:
    """The interpreter that has vLLM."""
    repository = Path(__file__).resolve().parents[1]
    python = Path(os.environ.get("BURNISH_INFERENCE_PYTHON", repository / ".venv-inference/bin/python"))
    if not python.exists():
        pytest.fail(f"no Python with vLLM at {python}: run `make setup`")
    return python


@contextmanager
def started(folder: Path, settings: Mapping[str, str]) -> Iterator[InferenceServer]:
    """The server, not yet ready: call wait_ready. settings: variables of its environment beside the token, port and cache."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    own = {
        "BURNISH_TOKEN": TOKEN,
        "BURNISH_INFERENCE_PORT": str(port),
        "BURNISH_INFERENCE_CACHE_DIR": str(folder / "cache"),
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        command = [str(find_python()), "-m", "burnish_inference.main"]
        process = subprocess.Popen(command, env=os.environ | own | dict(settings), stdout=output, stderr=output)
    server = InferenceServer(psutil.Process(process.pid), port, log)
    try:
        yield server
    finally:
        server.http.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
