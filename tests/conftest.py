"""Fixtures that every room's tests share: a real SeaweedFS server, stores over it, and the base model's folder."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from burnish.objectstores import seaweedfs
from burnish.objectstores.memory import MemoryObjectStore
from burnish.objectstores.s3 import S3ObjectStore

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Seaweed:
    """A running SeaweedFS server and the key pair it accepts."""

    endpoint: str
    access_key: str
    secret_key: str
    log: Path

    def store(self, bucket: str) -> S3ObjectStore:
        return S3ObjectStore(self.endpoint, self.access_key, self.secret_key, bucket)


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real server on free loopback ports over a temporary folder, ended with the session."""
    folder = tmp_path_factory.mktemp("seaweed")
    ports = seaweedfs.Ports.pick()
    server = Seaweed(ports.endpoint, "test-access-key", "test-secret-key", folder / "weed.log")
    data_dir = folder / "data"
    data_dir.mkdir()
    environment = os.environ | seaweedfs.environment(server.access_key, server.secret_key)
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            seaweedfs.command(data_dir, ports), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        seaweedfs.wait_ready(server.store("readiness"), has_exited=lambda: process.poll() is not None)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def s3_store(seaweed: Seaweed) -> S3ObjectStore:
    """A store over a bucket of its own on the real server."""
    store = seaweed.store(f"test-{uuid.uuid4().hex[:16]}")
    store.ensure_bucket()
    return store


@pytest.fixture
def memory_store() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture(scope="session")
def base_model_dir() -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder, made by `make setup`; another by BURNISH_BASE_MODEL."""
    folder = Path(os.environ.get("BURNISH_BASE_MODEL", REPOSITORY / ".cache/models/smollm2-135m-instruct"))
    if not (folder / "burnish-model.json").is_file():
        pytest.fail(f"no base model at {folder}: run `make setup`, or set BURNISH_BASE_MODEL to a model folder")
    return folder
