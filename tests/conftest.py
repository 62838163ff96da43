"""Fixtures that every room's tests share: a real SeaweedFS server, stores over it, and the base model's folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnish.objectstores.memory import MemoryObjectStore
from burnish.objectstores.s3 import S3ObjectStore
from burnish.testing import Seaweed, running_seaweed

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def nobody_logged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The login of whoever runs the tests has no part in them, nor have the commands that they start."""
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    yield
    if before is None:
        del os.environ["XDG_CONFIG_HOME"]
    else:
        os.environ["XDG_CONFIG_HOME"] = before


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real server on free loopback ports over a temporary folder, ended with the session."""
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


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
