"""Jobs that a provider trains: which, the model that stays there, and whether anything else of the job does."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # recreate="never": SQLite would drop the table of jobs to make it anew, and its events refer to it
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        jobs.add_column(sa.Column("provider", sa.String(32), nullable=False, server_default=""))
        jobs.add_column(sa.Column("released", sa.Boolean(), nullable=False, server_default=sa.false()))
        jobs.add_column(sa.Column("remote_model", sa.JSON()))


def downgrade() -> None:
    with op.batch_alter_table("tuning_jobs", recreate="never") as jobs:
        for name in ("provider", "released", "remote_model"):
            jobs.drop_column(name)
