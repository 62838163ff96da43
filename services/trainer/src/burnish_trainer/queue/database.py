"""Opens the queue's database (SQLite in WAL mode, or Postgres) and brings its tables to the newest migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from burnish.errors import UnavailableError
from burnish.machine.disk import full_database

BUSY_TIMEOUT_SECONDS = 10  # less than a lease: whoever waits for the lock must still be able to report it
WRITING = "burnish_writing"
MIGRATION_LOCK = 0x6275726E  # two trainers starting on one Postgres migrate one after the other


class Database:
    """Sessions over one database. Thread-safe; each session is one transaction. busy_timeout_seconds: for SQLite's lock."""

    def __init__(self, url: str, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> None:
        self.url = make_url(url)
        self.file = self.url.database if self.url.get_backend_name() == "sqlite" else None
        if self.url.get_backend_name() == "sqlite":
            self.engine = _open_sqlite(url, busy_timeout_seconds)
        else:
            self.engine = create_engine(url, pool_pre_ping=True)

    def migrate(self, revision: str = "head") -> None:
        """Run the migrations that this database has not seen, up to a revision."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.engine.connect().execution_options(**{WRITING: True}) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._translated(), self.engine.connect() as connection, Session(connection) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that commits unless it raises."""
        with (
            self._translated(),
            self.engine.connect().execution_options(**{WRITING: True}) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """A transaction that failed was rolled back, and is safe to repeat."""
        try:
            yield
        except OperationalError as error:
            problem = str(error.orig)
            raise full_database("the queue's database", self.file, problem) or UnavailableError(
                _advice(problem)
            ) from error


def _advice(problem: str) -> str:
    """What the database complains of, and what to do about it."""
    if "database is locked" in problem:
        return (
            "another process has held the queue's database locked for too long, nothing was changed: "
            f"end what writes to it beside the trainer ({problem})"
        )
    return f"the queue's database does not answer: {problem}"


def _open_sqlite(url: str, busy_timeout_seconds: float) -> Engine:
    """SQLite with WAL. Writers take the write lock at BEGIN: one taken later fails at once if another writer came between."""
    engine = create_engine(url, connect_args={"timeout": busy_timeout_seconds, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # we send BEGIN ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
