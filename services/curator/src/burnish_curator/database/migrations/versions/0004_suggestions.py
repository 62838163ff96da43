"""Suggestions: what other models answered to questions that nobody has decided about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "review_suggestions",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("question_id", sa.Text, primary_key=True),
        sa.Column("prompt_key", sa.String(64), primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("failure_label", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sampling", sa.Text, nullable=False),
        sa.Column("finish_reason", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("grade", sa.String(16), nullable=False),
        sa.Column("grader", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("review_suggestions")
