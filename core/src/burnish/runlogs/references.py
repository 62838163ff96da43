"""How people name lines: `LOG:12`, `LOG:question=ID`, `LOG:trace=ID`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from burnish.errors import InvalidInputError
from burnish.schemas.base import unstorable

MOST_DIGITS = 18  # of a line number, which is a 64-bit integer
HINT = "write LOG:NUMBER (`burnish runs show LOG` shows the numbers), LOG:question=ID or LOG:trace=ID"


@dataclass(frozen=True)
class LineReference:
    """run_log: id or name. Exactly one of the others is set. number: of the line in the file that was imported."""

    run_log: str
    number: int | None = None
    question: str | None = None
    trace: str | None = None

    @property
    def columns(self) -> dict[str, list[int] | list[str]]:
        """Column of a run log -> the value that it selects."""
        wanted = {"line_number": self.number, "question_id": self.question, "trace_id": self.trace}
        return {name: [value] for name, value in wanted.items() if value is not None}  # type: ignore[misc]


def parse_line(text: str) -> LineReference:
    """InvalidInputError if it is none."""
    run_log, colon, rest = text.partition(":")
    if run_log and colon and rest:
        if rest.isdecimal() and len(rest) <= MOST_DIGITS:
            return LineReference(run_log, number=int(rest))
        key, sign, value = rest.partition("=")
        if reason := unstorable(value):
            raise InvalidInputError(f"line {text!r}: {key} {reason}", field="line")
        if sign and value and key == "question":
            return LineReference(run_log, question=value)
        if sign and value and key == "trace":
            return LineReference(run_log, trace=value)
    raise InvalidInputError(f"line {text!r}: {HINT}", field="line")
