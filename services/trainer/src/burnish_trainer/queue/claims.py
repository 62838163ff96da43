"""The statements by which an engine takes a job: one UPDATE each, so that of racing engines exactly one gets it.

The line is ordered by priority, then age. A job that waits out its back-off, or has passed its deadline, is not in line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from burnish_trainer.queue.jobs import State
from burnish_trainer.queue.tables import JobRow

Take = ReturningUpdate[JobRow]


def for_preparation(engine_id: str, active: Sequence[str], now: datetime, lease_until: datetime) -> Take:
    """Take the head of the unprepared jobs, or one that an engine which is gone was preparing."""
    waiting = and_(_waiting(now), JobRow.prepared.is_(False))
    free = _free(engine_id, active, now, waiting, State.PREPARING)
    return _take_head(free, engine_id, lease_until)


def for_devices(
    engine_id: str, active: Sequence[str], free_devices: int, all_devices: int, now: datetime, lease_until: datetime
) -> Take:
    """Take the head of the prepared jobs, or one that an engine which is gone was running.

    Nothing where the head needs more devices than are free: nobody overtakes it. Jobs that need more than the engine has
    at all are not in its line.
    """
    waiting = and_(_waiting(now), JobRow.prepared.is_(True))
    free = and_(_free(engine_id, active, now, waiting, State.RUNNING), JobRow.device_count <= all_devices)
    return _take_head(free, engine_id, lease_until, JobRow.device_count <= free_devices)


def _waiting(now: datetime) -> ColumnElement[bool]:
    return and_(
        JobRow.state == State.PENDING.value,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= now),
        or_(JobRow.deadline.is_(None), JobRow.deadline > now),
    )


def _free(
    engine_id: str, active: Sequence[str], now: datetime, waiting: ColumnElement[bool], held_state: State
) -> ColumnElement[bool]:
    """active: what this engine works on; any other job under its id was left by its former process."""
    gone = or_(JobRow.lease_until < now, JobRow.engine_id == engine_id)
    return and_(or_(waiting, and_(JobRow.state == held_state.value, gone)), JobRow.job_id.not_in(list(active)))


def _take_head(
    free: ColumnElement[bool], engine_id: str, lease_until: datetime, *conditions: ColumnElement[bool]
) -> Take:
    head: Any = (
        select(JobRow.job_id)
        .where(free)
        .order_by(JobRow.priority.desc(), JobRow.create_time, JobRow.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(JobRow)
        .where(JobRow.job_id == head, free, *conditions)
        .values(engine_id=engine_id, lease_until=lease_until)
        .returning(JobRow)
        .execution_options(synchronize_session=False)
    )
