"""Preparation, pausing, priorities, deadlines and labels of jobs; events that are only added; past runs for estimates."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
# recreate="never": SQLite would drop the table of jobs to make it anew, and its events refer to it
EMPTY_OBJECT, EMPTY_LIST = sa.text("'{}'"), sa.text("'[]'")


def upgrade() -> None:
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        jobs.add_column(sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false()))
        jobs.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("labels", sa.JSON(), nullable=False, server_default=EMPTY_OBJECT))
        jobs.add_column(sa.Column("deadline", TIME))
        jobs.add_column(sa.Column("prepared", sa.Boolean(), nullable=False, server_default=sa.false()))
        jobs.add_column(sa.Column("findings", sa.JSON(), nullable=False, server_default=EMPTY_LIST))
        jobs.add_column(sa.Column("estimate", sa.JSON()))
        jobs.add_column(sa.Column("workload", sa.JSON()))
        jobs.add_column(sa.Column("run_kind", sa.String(64)))
        jobs.add_column(sa.Column("measured", sa.JSON()))
        jobs.add_column(sa.Column("not_before", TIME))
        jobs.add_column(sa.Column("devices", sa.JSON(), nullable=False, server_default=EMPTY_LIST))
        jobs.add_column(sa.Column("device_count", sa.Integer(), nullable=False, server_default="1"))
        jobs.add_column(sa.Column("overhead_seconds", sa.Double(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("adapter_name", sa.String(63), nullable=False, server_default=""))
        jobs.add_column(sa.Column("dataset_name", sa.String(63), nullable=False, server_default=""))
    _name_old_jobs()
    with op.batch_alter_table("tuning_job_events") as events:
        events.add_column(sa.Column("finding", sa.JSON()))
        events.add_column(sa.Column("estimate", sa.JSON()))
        events.add_column(sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"))
        events.drop_index("uq_tuning_job_events_series")
        events.create_index("uq_tuning_job_events_series", ["job_id", "step", "series", "attempt"], unique=True)
    op.create_table(
        "past_runs",
        sa.Column("job_id", sa.String(20), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("workload", sa.JSON(), nullable=False),
        sa.Column("measured", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_past_runs"),
        sa.ForeignKeyConstraint(["job_id"], ["tuning_jobs.job_id"], name="fk_past_runs_job_id"),
    )
    op.create_index("ix_past_runs_kind_time", "past_runs", ["kind", "time"])


def _name_old_jobs() -> None:
    """Jobs from before have their names in the spec alone; those that wait are prepared as new ones are."""
    jobs = sa.table(
        "tuning_jobs",
        sa.column("job_id"),
        sa.column("spec", sa.JSON()),
        sa.column("adapter_name"),
        sa.column("dataset_name"),
    )
    connection = op.get_bind()
    for job_id, spec in connection.execute(sa.select(jobs.c.job_id, jobs.c.spec)).all():
        names = {"adapter_name": spec["adapter_name"], "dataset_name": spec["dataset"]["name"]}
        connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(**names))


def downgrade() -> None:
    op.drop_table("past_runs")
    with op.batch_alter_table("tuning_job_events") as events:
        events.drop_index("uq_tuning_job_events_series")
        events.create_index("uq_tuning_job_events_series", ["job_id", "step", "series"], unique=True)
        for name in ("finding", "estimate", "attempt"):
            events.drop_column(name)
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        for name in (
            "pause_requested", "priority", "labels", "deadline", "prepared", "findings", "estimate", "workload", "run_kind", "measured",
            "not_before", "devices", "device_count", "overhead_seconds", "failures", "adapter_name", "dataset_name",
        ):  # fmt: skip
            jobs.drop_column(name)
