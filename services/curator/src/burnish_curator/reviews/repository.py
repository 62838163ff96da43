"""Corrections in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from burnish.curation.review import Correction
from burnish_curator.database import CorrectionRow, transaction

ROWS_AT_ONCE = 500


class CorrectionRepository:
    """One correction for each (run log, question); a newer one replaces it. Thread-safe."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def current(self, run_log_id: str) -> dict[str, Correction]:
        """By question id."""
        with transaction(self._database) as connection:
            return self._read(connection, run_log_id)

    def counts(self) -> dict[str, int]:
        """How many corrections each run log has, by its id; one without any is left out."""
        query = select(CorrectionRow.run_log_id, func.count()).group_by(CorrectionRow.run_log_id)
        with transaction(self._database) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def save(self, run_log_id: str, corrections: Sequence[Correction], emptied: Sequence[str] = ()) -> tuple[int, int]:
        """Write all corrections and remove those of the emptied questions, or change nothing.

        Returns how many replaced another text, and how many were removed.
        """
        with transaction(self._database) as connection:
            before = self._read(connection, run_log_id)
            for start in range(0, len(corrections), ROWS_AT_ONCE):
                self._upsert(connection, run_log_id, corrections[start : start + ROWS_AT_ONCE])
            removed = self._remove(connection, run_log_id, emptied)
        changed = sum(
            c.question_id in before and before[c.question_id].corrected_output != c.corrected_output
            for c in corrections
        )
        return changed, removed

    def remove_all(self, run_log_id: str) -> int:
        """Of one run log; how many there were."""
        table = CorrectionRow.__table__
        with transaction(self._database) as connection:
            return connection.execute(delete(CorrectionRow).where(table.c.run_log_id == run_log_id)).rowcount

    def erase(self, run_log_id: str, question_ids: Sequence[str]) -> int:
        """Of these questions, for good; how many there were."""
        with transaction(self._database) as connection:
            return self._remove(connection, run_log_id, question_ids)

    def _read(self, connection: Connection, run_log_id: str) -> dict[str, Correction]:
        query = select(CorrectionRow.question_id, CorrectionRow.failure_label, CorrectionRow.corrected_output).where(
            CorrectionRow.run_log_id == run_log_id
        )
        return {row.question_id: Correction(*row) for row in connection.execute(query)}

    def _remove(self, connection: Connection, run_log_id: str, question_ids: Sequence[str]) -> int:
        table, removed = CorrectionRow.__table__, 0
        for start in range(0, len(question_ids), ROWS_AT_ONCE):
            chosen = table.c.question_id.in_(question_ids[start : start + ROWS_AT_ONCE])
            removed += connection.execute(
                delete(CorrectionRow).where((table.c.run_log_id == run_log_id) & chosen)
            ).rowcount
        return removed

    def _upsert(self, connection: Connection, run_log_id: str, corrections: Sequence[Correction]) -> None:
        insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
        now = datetime.now(UTC)
        statement = insert(CorrectionRow).values(
            [
                {
                    "run_log_id": run_log_id,
                    "question_id": correction.question_id,
                    "failure_label": correction.failure_label,
                    "corrected_output": correction.corrected_output,
                    "updated_at": now,
                }
                for correction in corrections
            ]
        )
        replaced = {name: statement.excluded[name] for name in ("failure_label", "corrected_output", "updated_at")}
        connection.execute(statement.on_conflict_do_update(index_elements=["run_log_id", "question_id"], set_=replaced))
