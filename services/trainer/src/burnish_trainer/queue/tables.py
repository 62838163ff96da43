"""The queue's tables. Changed only together with a migration in migrations/versions (a test compares the two)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from burnish.schemas.training.job_state import JobState

STATE = Enum(JobState, native_enum=False, length=16, values_callable=lambda states: [state.value for state in states])


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )


class JobRow(Table):
    """One tuning job. engine_id and lease_until: which engine holds it, and until when no other may. traceparent: W3C.

    adapter_name, dataset_name, device_count and provider are copied from the spec, to filter by. provider: empty for a job
    that trains here. released: an ended hosted job of which nothing is left at its provider.
    """

    __tablename__ = "tuning_jobs"
    __table_args__ = (Index(None, "state", "create_time"), Index(None, "create_time", "job_id"))

    job_id: Mapped[str] = mapped_column(String(20), primary_key=True)
    request_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[JobState] = mapped_column(STATE)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    adapter: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    remote_model: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    create_time: Mapped[datetime] = mapped_column(UtcDateTime)
    start_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    strikes: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    event_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    last_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    pause_requested: Mapped[bool] = mapped_column(default=False)
    priority: Mapped[int] = mapped_column(default=0)
    labels: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
    deadline: Mapped[datetime | None] = mapped_column(UtcDateTime)
    prepared: Mapped[bool] = mapped_column(default=False)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    estimate: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    workload: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    run_kind: Mapped[str | None] = mapped_column(String(64))
    measured: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    devices: Mapped[list[str]] = mapped_column(JSON, default=list)
    device_count: Mapped[int] = mapped_column(default=1)
    overhead_seconds: Mapped[float] = mapped_column(Double, default=0.0)
    adapter_name: Mapped[str] = mapped_column(String(63))
    dataset_name: Mapped[str] = mapped_column(String(63))
    provider: Mapped[str] = mapped_column(String(32), default="")
    released: Mapped[bool] = mapped_column(default=False)
    engine_id: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    traceparent: Mapped[str | None] = mapped_column(String(55))


class EventRow(Table):
    """One event of a job; rows are only added. step and series: set for metrics; an attempt has each step of a series once."""

    __tablename__ = "tuning_job_events"
    __table_args__ = (Index("uq_tuning_job_events_series", "job_id", "step", "series", "attempt", unique=True),)

    job_id: Mapped[str] = mapped_column(ForeignKey("tuning_jobs.job_id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[JobState | None] = mapped_column(STATE)
    message: Mapped[str | None] = mapped_column(Text)
    step: Mapped[int | None]
    series: Mapped[str | None] = mapped_column(String(16))
    metrics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    finding: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    estimate: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    attempt: Mapped[int] = mapped_column(default=0)


class PastRunRow(Table):
    """What was counted before a run and what it took: later estimates are calibrated with it. kind: preflight.types.Preview.kind."""

    __tablename__ = "past_runs"
    __table_args__ = (Index(None, "kind", "time"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("tuning_jobs.job_id"), primary_key=True)
    time: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(64))
    workload: Mapped[dict[str, Any]] = mapped_column(JSON)
    measured: Mapped[dict[str, Any]] = mapped_column(JSON)
