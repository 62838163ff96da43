"""Erasures: what was asked, what was erased, and the proof. None of it has text of the erased."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from burnish import __version__
from burnish.schemas.base import Frozen


class ErasureRequest(Frozen):
    """Whose lines, or which. preview: erase nothing, and say what would be."""

    user: str | None = Field(default=None, min_length=1, description="every line of this `user_id`")
    lines: list[str] = Field(
        default=[], max_length=1000, description="`LOG:NUMBER`, `LOG:question=ID` or `LOG:trace=ID`"
    )
    preview: bool = False

    @model_validator(mode="after")
    def something(self) -> Self:
        if self.user is None and not self.lines:
            raise ValueError("give `user`, or `lines`, or both")
        return self


class UserDigest(Frozen):
    """Of a user id: sha256 of salt and id, in hex."""

    salt: str
    sha256: str


class ErasedLines(Frozen):
    """Of one run log. files: its files before, in which the lines still stand until the erasure has ended."""

    run_log_id: str
    lines: list[int] = Field(description="numbers in the file that was imported")
    rejected: list[int] = Field(default=[], description="numbers of rejected lines whose excerpt is cleared")
    files: list[str] = []


class ErasedDataset(Frozen):
    """A dataset version that cannot be read any more. replaced_by: the version without the rows; None if no row was left."""

    name: str
    version: str
    rows: int
    replaced_by: str | None = None


class Scan(Frozen):
    """What was searched, for how many texts, and where one still stands."""

    objects: int
    size_bytes: int
    not_read: int = Field(description="weights and checkpoints")
    texts: int = Field(description="pieces that were looked for")
    shared: int = Field(description="pieces that stand in lines of others too, and were not")
    found: list[str] = Field(default=[], description="keys of objects in which one still stands")


class Erasure(Frozen):
    """erasures/<id>.json. state: planned, scanned (nothing but old files is left to remove), done; nothing and preview are not stored."""

    schema_version: int = 1
    id: str
    state: Literal["preview", "nothing", "planned", "scanned", "done"]
    created_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    finished_at: AwareDatetime | None = None
    burnish_version: str = __version__
    user: UserDigest | None = None
    run_logs: list[ErasedLines] = []
    traces: int = Field(default=0, description="waiting objects that were rewritten")
    reviews: int = Field(default=0, description="reviewed questions that were removed")
    suggestions: int = Field(default=0, description="teachers' answers to such questions that were removed")
    datasets: list[ErasedDataset] = []
    evals: list[str] = Field(
        default=[], description="folders of stored evaluations, and of other documents, that were rewritten"
    )
    adapters: list[str] = Field(default=[], description="name@version of those that were trained on erased rows")
    scan: Scan | None = None


class Tombstone(Frozen):
    """datasets/<name>/<version>/erased.json: all that is left of a version."""

    erasure: str
    erased_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    replaced_by: str | None = None
