"""Preferences: a decision may be about answers that there are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("review_events", sa.Column("preference", sa.Text, nullable=True))


def downgrade() -> None:
    """What was preferred is lost: such questions are open again."""
    for table in ("review_events", "review_items"):
        op.execute(f"UPDATE {table} SET state = 'open' WHERE state IN ('compared', 'rated')")
    op.drop_column("review_events", "preference")
