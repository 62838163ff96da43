"""The statements by which an engine claims a job: one UPDATE each, so that of racing engines exactly one gets it.

The queue is ordered by priority, then age. A job in its back-off, or past its deadline, cannot be claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from burnish.schemas.training.job_state import JobState
from burnish_trainer.queue.tables import JobRow

Claim = ReturningUpdate[JobRow]


def for_preparation(engine_id: str, active: Sequence[str], now: datetime, lease_until: datetime) -> Claim:
    """Claim the first unprepared job, or one that another engine was preparing before its lease ran out."""
    waiting = and_(_waiting(now), JobRow.prepared.is_(False))
    free = _free(engine_id, active, now, waiting, JobState.PREPARING)
    return _claim_first(free, engine_id, lease_until)


def for_devices(
    engine_id: str, active: Sequence[str], free_devices: int, all_devices: int, now: datetime, lease_until: datetime
) -> Claim:
    """Claim the first prepared job, or one that another engine was running before its lease ran out.

    Nothing if the first job needs more devices than are free: no job overtakes it. Jobs that need more devices than this
    engine has are left to others.
    """
    waiting = and_(_waiting(now), JobRow.prepared.is_(True))
    here = and_(JobRow.provider == "", JobRow.device_count <= all_devices)
    free = and_(_free(engine_id, active, now, waiting, JobState.RUNNING), here)
    return _claim_first(free, engine_id, lease_until, JobRow.device_count <= free_devices)


def for_providers(
    engine_id: str, active: Sequence[str], providers: Sequence[str], now: datetime, lease_until: datetime
) -> Claim:
    """Claim the first prepared job that one of the providers trains, or one whose engine's lease ran out. It takes no device."""
    waiting = and_(_waiting(now), JobRow.prepared.is_(True))
    theirs = JobRow.provider.in_(list(providers))
    return _claim_first(and_(_free(engine_id, active, now, waiting, JobState.RUNNING), theirs), engine_id, lease_until)


def _waiting(now: datetime) -> ColumnElement[bool]:
    return and_(
        JobRow.state == JobState.PENDING,
        or_(JobRow.not_before.is_(None), JobRow.not_before <= now),
        or_(JobRow.deadline.is_(None), JobRow.deadline > now),
    )


def _free(
    engine_id: str, active: Sequence[str], now: datetime, waiting: ColumnElement[bool], held_state: JobState
) -> ColumnElement[bool]:
    """active: what this engine works on; any other job under its id was left by its previous process."""
    gone = or_(JobRow.lease_until < now, JobRow.engine_id == engine_id)
    return and_(or_(waiting, and_(JobRow.state == held_state, gone)), JobRow.job_id.not_in(list(active)))


def _claim_first(
    free: ColumnElement[bool], engine_id: str, lease_until: datetime, *conditions: ColumnElement[bool]
) -> Claim:
    first: Any = (
        select(JobRow.job_id)
        .where(free)
        .order_by(JobRow.priority.desc(), JobRow.create_time, JobRow.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(JobRow)
        .where(JobRow.job_id == first, free, *conditions)
        .values(engine_id=engine_id, lease_until=lease_until)
        .returning(JobRow)
        .execution_options(synchronize_session=False)
    )
