"""The real curator as a process of its own: started from its environment, as `burnish up` does it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

TOKEN = "curator-test-token"
START_LIMIT_SECONDS = 60
PORTS_TRIED = 3
MAIN = ("-m", "burnish_curator.main")


@dataclass
class CuratorProcess:
    """A running curator; `folder` holds its database, cache and log, and outlives it."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120, trust_env=False
        )

    def peak_memory_bytes(self) -> int:
        """The most that was ever resident (VmHWM), so nothing is missed between samples."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return (self.folder / "curator.log").read_text(errors="replace")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def start_curator(folder: Path, s3: dict[str, str], argv: Sequence[str] = MAIN, **settings: str) -> CuratorProcess:
    """Start it over `folder` and wait until /readyz answers. s3: the BURNISH_S3_… variables; settings: BURNISH_CURATOR_…

    Another program may take the free port before it does: then another port is tried.
    """
    for _ in range(PORTS_TRIED):
        curator = _started(folder, s3, argv, settings)
        if _wait_ready(curator):
            return curator
        if "address already in use" not in (log := curator.log()):
            break
        (folder / "curator.log").unlink()
    raise RuntimeError(f"the curator did not start:\n{log}")


def _started(folder: Path, s3: dict[str, str], argv: Sequence[str], settings: dict[str, str]) -> CuratorProcess:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    own = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{folder / 'curator.db'}",
        "CACHE_DIR": str(folder / "cache"),
    } | settings
    environment = os.environ | s3 | {"BURNISH_TOKEN": TOKEN} | {f"BURNISH_CURATOR_{k}": v for k, v in own.items()}
    with (folder / "curator.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *argv], env=environment, stdout=log, stderr=log)
    return CuratorProcess(process, f"http://127.0.0.1:{port}", folder)


def _wait_ready(curator: CuratorProcess) -> bool:
    """False if it ended, or did not answer in time; it is stopped then."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not _ready(curator.url):
        if curator.process.poll() is not None or time.monotonic() > deadline:
            curator.stop()
            return False
        time.sleep(0.05)
    return True


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
