"""Tables of the review state. A change here needs a migration beside the others.

What a person wrote stands in `review_events`, what another model answered in `review_suggestions`; the other tables have ids, states and times.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Float, Index, Integer, String, Text, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class ReviewLogRow(Base):
    """A run log that was reviewed. Whoever writes events holds its row until the end, so that their numbers come in the order of commits.

    generation: changes when events were removed.
    """

    __tablename__ = "review_logs"

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    generation: Mapped[int] = mapped_column(Integer)


class ReviewEventRow(Base):
    """What a person decided about a question. Rows are added, and removed by an erasure; none is changed.

    action: the sequence of the first event that was decided with it. previous: of the event that stood before (0: none).
    undoes: the action that this event takes back; restores: the event whose content stands again (0: none). second: a second reviewer's opinion, which does not stand by itself.
    prompt_key: of the prompt that was looked at; None: not recorded.
    preference: JSON of burnish.schemas.review.Preference.
    """

    __tablename__ = "review_events"
    __table_args__ = (
        Index("review_events_question", "run_log_id", "question_id", "sequence"),
        Index("review_events_author", "run_log_id", "author", "sequence"),
        Index("review_events_undoes", "run_log_id", "undoes"),
    )

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    question_id: Mapped[str] = mapped_column(Text)
    failure_label: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    output: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    seconds: Mapped[float | None] = mapped_column(Float)
    action: Mapped[int] = mapped_column(BigInteger)
    previous: Mapped[int] = mapped_column(BigInteger)
    undoes: Mapped[int | None] = mapped_column(BigInteger)
    restores: Mapped[int | None] = mapped_column(BigInteger)
    second: Mapped[bool]
    prompt_key: Mapped[str | None] = mapped_column(String(64))
    preference: Mapped[str | None] = mapped_column(Text)


class ReviewItemRow(Base):
    """Where a question stands that somebody has decided about: the state and number of its newest event."""

    __tablename__ = "review_items"
    __table_args__ = (Index("review_items_sequence", "run_log_id", "sequence"),)

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    question_id: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    sequence: Mapped[int] = mapped_column(BigInteger)


class ReviewLeaseRow(Base):
    """Who has a question open. It ends at `until` if it is not renewed."""

    __tablename__ = "review_leases"

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    question_id: Mapped[str] = mapped_column(Text, primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ReviewSuggestionRow(Base):
    """What a teacher answered to a question's prompt, the newest; nobody has decided it. sampling: JSON of the request's parameters.

    withdrawn: removed by a person, but a correction has its text. It stays to say whose the text was, and is shown and taken no more.
    """

    __tablename__ = "review_suggestions"

    run_log_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    question_id: Mapped[str] = mapped_column(Text, primary_key=True)
    prompt_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    host: Mapped[str] = mapped_column(Text, primary_key=True)
    failure_label: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    sampling: Mapped[str] = mapped_column(Text)
    finish_reason: Mapped[str | None] = mapped_column(Text)
    prompt_tokens: Mapped[int | None] = mapped_column(BigInteger)
    completion_tokens: Mapped[int | None] = mapped_column(BigInteger)
    grade: Mapped[str] = mapped_column(String(16))
    grader: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    withdrawn: Mapped[bool] = mapped_column(default=False, server_default=false())
