"""Opens the database of a URL and runs its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from burnish.errors import InvalidInputError, UnavailableError
from burnish.machine.disk import full_database

BUSY_TIMEOUT_SECONDS = 30
MIGRATION_LOCK = 0x6275726E  # any number that nothing else in the database locks: "burn"


def open_database(url: str) -> Engine:
    """An engine on an up-to-date schema. InvalidInputError if the URL cannot be used, UnavailableError if nothing answers.

    Several processes may open one database at once; one of them migrates it.
    """
    try:
        parsed = make_url(url)
        connect = {"timeout": BUSY_TIMEOUT_SECONDS} if parsed.get_backend_name() == "sqlite" else {}
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=connect)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise InvalidInputError(
            f"BURNISH_CURATOR_DATABASE_URL: {error}; use sqlite:///FILE or postgresql+psycopg://…"
        ) from error
    if engine.dialect.name == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        _prepare_sqlite(engine)
    try:
        with engine.begin() as connection:
            _migrate(connection)
    except SQLAlchemyError as error:
        raise UnavailableError(
            f"the curator's database {parsed.render_as_string(hide_password=True)} cannot be opened: {error}"
        ) from error
    return engine


@contextmanager
def transaction(database: Engine) -> Iterator[Connection]:
    """A transaction that commits unless it raises. UnavailableError if the database fails: it was rolled back then."""
    try:
        with database.begin() as connection:
            yield connection
    except OperationalError as error:
        file = database.url.database if database.dialect.name == "sqlite" else None
        problem = str(error.orig)
        raise full_database("the curator's database", file, problem) or UnavailableError(
            f"the curator's database failed, nothing was changed: try again ({problem})"
        ) from error


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, and transactions that take the write lock at once: a read that turns into a write would fail, not wait.

    Source: SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL" of the pysqlite dialect.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what is erased is zeroed, not only unlinked

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
