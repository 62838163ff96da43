"""Suggestions of a teacher can be removed; those whose text a correction has stay, to say whose it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("review_suggestions", sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """What was removed must not be offered again."""
    op.execute(sa.text("DELETE FROM review_suggestions WHERE withdrawn"))
    op.drop_column("review_suggestions", "withdrawn")
