"""The three services as processes, started as users start them, with or without certificates."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from burnish.testing import Seaweed
from burnish_client.config.endpoints import Service
from burnish_client.stack import health
from burnish_client.stack.parts import pick_ports

TOKEN = "token-of-the-access-tests"
START_SECONDS = 90
STAND = Path(__file__).parent / "inference_stand.py"


@dataclass(frozen=True)
class Services:
    """Where they listen. certificate: None where they speak in plain."""

    ports: dict[str, int]
    certificate: Path | None
    logs: Path

    def address(self, service: Service, host: str = "127.0.0.1", *, secure: bool | None = None) -> str:
        """As a client is given it; secure: ask over TLS though they speak in plain, or the other way round."""
        over_tls = self.certificate is not None if secure is None else secure
        scheme = ("grpc" if service == "trainer" else "http") + ("s" if over_tls else "")
        return f"{scheme}://{host}:{self.ports[service]}"


@contextmanager
def running(
    folder: Path, store: Mapping[str, str], base_model: Path, pair: tuple[Path, Path] | None = None
) -> Iterator[Services]:
    """All three, ready. store: the BURNISH_S3_… variables; pair: certificate and key of every service."""
    folder.mkdir(parents=True)
    ports = pick_ports(("curator", "trainer", "inference"), {})
    services = Services(ports, pair[0] if pair else None, folder)
    shared = {**store, "BURNISH_TOKEN": TOKEN, "PYTHONPATH": str(STAND.parents[2])}
    if pair:
        shared |= {"BURNISH_TLS_CERTIFICATE": str(pair[0]), "BURNISH_TLS_KEY": str(pair[1])}
    with ExitStack() as opened:
        for service, words, own in _commands(folder, ports, base_model):
            opened.enter_context(_process(folder / f"{service}.log", words, {**os.environ, **shared, **own}))
        asyncio.run(_wait_ready(services))
        yield services


def _commands(
    folder: Path, ports: Mapping[str, int], base_model: Path
) -> list[tuple[Service, list[str], dict[str, str]]]:
    curator = {
        "BURNISH_CURATOR_PORT": str(ports["curator"]),
        "BURNISH_CURATOR_DATABASE_URL": f"sqlite:///{folder / 'curator.db'}",
        "BURNISH_CURATOR_CACHE_DIR": str(folder / "curator"),
    }
    trainer = {
        "BURNISH_TRAINER_PORT": str(ports["trainer"]),
        "BURNISH_TRAINER_DATABASE_URL": f"sqlite:///{folder / 'trainer.db'}",
        "BURNISH_TRAINER_WORK_DIR": str(folder / "trainer"),
        "BURNISH_TRAINER_BASE_MODEL": str(base_model),
        "BURNISH_TRAINER_DEVICE": "cpu",
        "BURNISH_TRAINER_WARM_WORKERS": "0",
    }
    return [
        ("curator", ["-m", "burnish_curator.main"], curator),
        ("trainer", ["-m", "burnish_trainer.main"], trainer),
        ("inference", [str(STAND), str(folder / "inference"), str(ports["inference"])], {}),
    ]


@contextmanager
def _process(log: Path, words: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *words], env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _wait_ready(services: Services) -> None:
    """By the questions that the embedded stack asks, so that these are tried over TLS too."""
    certificate = services.certificate
    checks = [
        health.http(f"{services.address('curator')}/readyz", certificate),
        health.grpc_health(f"127.0.0.1:{services.ports['trainer']}", certificate),
        health.http(f"{services.address('inference')}/readyz", certificate),
    ]
    deadline = time.monotonic() + START_SECONDS
    for check in checks:
        while not await check():
            logs = "\n".join(path.read_text()[-1500:] for path in sorted(services.logs.glob("*.log")))
            assert time.monotonic() < deadline, f"not ready:\n{logs}"
            await asyncio.sleep(0.1)


def store_variables(seaweed: Seaweed) -> dict[str, str]:
    return {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
    }
