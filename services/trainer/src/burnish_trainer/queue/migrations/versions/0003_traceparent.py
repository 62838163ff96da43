"""The trace of the command that queued a job."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # recreate="never": SQLite would drop the table of jobs to make it anew, and its events refer to it
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        jobs.add_column(sa.Column("traceparent", sa.String(55)))


def downgrade() -> None:
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        jobs.drop_column("traceparent")
