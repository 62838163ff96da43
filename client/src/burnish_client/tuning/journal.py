"""Where Optuna stores a sweep: its journal's lines as rows of a SQLite file, so that a line is whole or missing.

Optuna's own file backend does not survive a kill: the next line is appended to a torn one, no line after it can be read,
and its lock stays. Its SQL storage survives, but imports SQLAlchemy and Alembic (1.7 s) and takes ten times as long.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from burnish.errors import CorruptDataError

SCHEMA = "CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, line TEXT NOT NULL)"
LOCK_LIMIT_SECONDS = 30.0


class SqliteJournal(BaseJournalBackend):
    """`path`: lines numbered from 1 without gaps. For several processes at once, each with one thread.

    Raises CorruptDataError if the file is no such journal.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=LOCK_LIMIT_SECONDS, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(SCHEMA)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise CorruptDataError(f"{path} is no sweep ({error}): remove it, or run under another --name") from error

    def close(self) -> None:
        self._database.close()

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        found = self._database.execute("SELECT line FROM journal WHERE number > ? ORDER BY number", (log_number_from,))
        return [json.loads(line) for (line,) in found]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [(json.dumps(log),) for log in logs]
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO journal (line) VALUES (?)", lines)
