"""The curator's application over an in-memory object store and SQLite, called in process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database

TOKEN = "unit-test-token"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'curator.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def deps(tmp_path: Path, database: Engine, memory_store: MemoryObjectStore) -> Deps:
    return Deps(memory_store, database, tmp_path / "cache", TOKEN, CharacterLengths())


@pytest.fixture
async def anonymous(deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a token."""
    transport = httpx.ASGITransport(create_app(deps))
    async with httpx.AsyncClient(transport=transport, base_url="http://curator") as client:
        yield client


@pytest.fixture
async def caller(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """A caller with the token."""
    anonymous.headers.update(AUTHORISED)
    return anonymous
