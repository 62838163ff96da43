"""Tuning jobs and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tuning_jobs",
        sa.Column("job_id", sa.String(20), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("adapter", sa.JSON()),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("start_time", TIME),
        sa.Column("end_time", TIME),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("event_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.JSON()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("engine_id", sa.String(64)),
        sa.Column("lease_until", TIME),
        sa.PrimaryKeyConstraint("job_id", name="pk_tuning_jobs"),
        sa.UniqueConstraint("request_id", name="uq_tuning_jobs_request_id"),
    )
    op.create_index("ix_tuning_jobs_state_create_time", "tuning_jobs", ["state", "create_time"])
    op.create_index("ix_tuning_jobs_create_time_job_id", "tuning_jobs", ["create_time", "job_id"])
    op.create_table(
        "tuning_job_events",
        sa.Column("job_id", sa.String(20), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("state", sa.String(16)),
        sa.Column("message", sa.Text()),
        sa.Column("step", sa.Integer()),
        sa.Column("series", sa.String(16)),
        sa.Column("metrics", sa.JSON()),
        sa.PrimaryKeyConstraint("job_id", "sequence", name="pk_tuning_job_events"),
        sa.ForeignKeyConstraint(["job_id"], ["tuning_jobs.job_id"], name="fk_tuning_job_events_job_id"),
    )
    op.create_index("uq_tuning_job_events_series", "tuning_job_events", ["job_id", "step", "series"], unique=True)


def downgrade() -> None:
    op.drop_table("tuning_job_events")
    op.drop_table("tuning_jobs")
