"""Tables of the review state. A change here needs a migration beside the others."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class CorrectionRow(Base):
    """The newest correction of a question of a run log."""

    __tablename__ = "corrections"

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    question_id: Mapped[str] = mapped_column(Text, primary_key=True)
    failure_label: Mapped[str] = mapped_column(Text)
    corrected_output: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
