"""The review queue: a history of decisions instead of the newest correction, and leases. Corrections become its first events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "review_logs",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )
    op.create_table(
        "review_events",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("question_id", sa.Text, nullable=False),
        sa.Column("failure_label", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("action", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.BigInteger, nullable=False),
        sa.Column("undoes", sa.BigInteger),
        sa.Column("restores", sa.BigInteger),
        sa.Column("second", sa.Boolean, nullable=False),
    )
    op.create_table(
        "review_items",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("question_id", sa.Text, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "review_leases",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("question_id", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(
        "INSERT INTO review_events (run_log_id, sequence, question_id, failure_label, state, output, reason, author, at, action, previous, second) "
        "SELECT run_log_id, number, question_id, failure_label, 'corrected', corrected_output, '', '', updated_at, number, 0, false FROM "
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY run_log_id ORDER BY updated_at, question_id) AS number FROM corrections) AS numbered"
    )
    op.execute("INSERT INTO review_items SELECT run_log_id, question_id, state, sequence FROM review_events")
    op.execute("INSERT INTO review_logs SELECT run_log_id, MAX(sequence), 0 FROM review_events GROUP BY run_log_id")
    op.create_index("review_events_question", "review_events", ["run_log_id", "question_id", "sequence"])
    op.create_index("review_events_author", "review_events", ["run_log_id", "author", "sequence"])
    op.create_index("review_events_undoes", "review_events", ["run_log_id", "undoes"])
    op.create_index("review_items_sequence", "review_items", ["run_log_id", "sequence"])
    op.drop_table("corrections")


def downgrade() -> None:
    """Corrections that stand are kept; what else was decided is lost."""
    op.create_table(
        "corrections",
        sa.Column("run_log_id", sa.String(64), primary_key=True),
        sa.Column("question_id", sa.Text, primary_key=True),
        sa.Column("failure_label", sa.Text, nullable=False),
        sa.Column("corrected_output", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(
        "INSERT INTO corrections SELECT e.run_log_id, e.question_id, e.failure_label, e.output, e.at FROM review_events e "
        "JOIN review_items i ON i.run_log_id = e.run_log_id AND i.sequence = e.sequence WHERE i.state IN ('corrected', 'accepted')"
    )
    for table in ("review_leases", "review_items", "review_events", "review_logs"):
        op.drop_table(table)
