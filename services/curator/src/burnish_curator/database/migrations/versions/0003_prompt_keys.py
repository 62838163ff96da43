"""Review events say for which prompt they were decided. Of those that are there it is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("review_events", sa.Column("prompt_key", sa.String(64)))


def downgrade() -> None:
    op.drop_column("review_events", "prompt_key")
