"""Who has which question open. A lease steers the queue away from a question; it does not protect what is written about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from burnish_curator.database import ReviewLeaseRow, transaction

LEASE_SECONDS = 600.0
LEASES: Any = ReviewLeaseRow.__table__


@dataclass(frozen=True)
class Lease:
    """since: when its holder opened the question."""

    question_id: str
    holder: str
    since: datetime
    until: datetime


class LeaseRepository:
    """Thread-safe. `now` is a parameter for tests; it is a time in UTC."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def take(self, run_log_id: str, question_id: str, holder: str, now: datetime | None = None) -> Lease:
        """Lease the question, or renew the lease. Another's lease that has not ended is returned instead."""
        now = now or datetime.now(UTC)
        until = now + timedelta(seconds=LEASE_SECONDS)
        with transaction(self._database) as connection:
            connection.execute(delete(LEASES).where(LEASES.c.run_log_id == run_log_id, LEASES.c.until <= now))
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = dialect.insert(LEASES).values(
                run_log_id=run_log_id, question_id=question_id, holder=holder, since=now, until=until
            )
            statement = statement.on_conflict_do_update(
                index_elements=["run_log_id", "question_id"],
                set_={"until": until},
                where=LEASES.c.holder == holder,
            )
            connection.execute(statement)
            row = connection.execute(
                select(LEASES).where(LEASES.c.run_log_id == run_log_id, LEASES.c.question_id == question_id)
            ).one()
            return _lease(row)

    def release(self, run_log_id: str, question_id: str, holder: str) -> None:
        with transaction(self._database) as connection:
            connection.execute(
                delete(LEASES).where(
                    LEASES.c.run_log_id == run_log_id, LEASES.c.question_id == question_id, LEASES.c.holder == holder
                )
            )

    def held(self, run_log_id: str, now: datetime | None = None) -> dict[str, Lease]:
        """Every lease of the run log that has not ended, by question id: about one a reviewer."""
        now = now or datetime.now(UTC)
        query = select(LEASES).where(LEASES.c.run_log_id == run_log_id, LEASES.c.until > now)
        with transaction(self._database) as connection:
            return {row.question_id: _lease(row) for row in connection.execute(query)}


def _lease(row: Any) -> Lease:
    return Lease(row.question_id, row.holder, _utc(row.since), _utc(row.until))


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite keeps no time zone
