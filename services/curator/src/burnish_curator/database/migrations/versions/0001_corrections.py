"""Corrections of the review."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "corrections",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("question_id", sa.Text, primary_key=True),
        sa.Column("failure_label", sa.Text, nullable=False),
        sa.Column("corrected_output", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("corrections")
