"""The neutral pieces of a trace: model calls and other spans, retrieved documents, and feedback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import orjson

from burnish.digests import version_of

Source = Literal["human", "code", "model"]
Value = bool | float | str | None


class UnreadError(ValueError):
    """A record that its reader cannot read; the text is the reason that the user sees."""


# What a reader may raise on a record of another shape than its format's.
MISSHAPEN = (AttributeError, TypeError, KeyError, IndexError, ValueError, RecursionError)


@dataclass(slots=True)
class Document:
    """What a retriever found."""

    text: str
    id: str | None = None


@dataclass(slots=True)
class Feedback:
    """What somebody or something said of a span, or, without span_id, of a whole trace.

    correction: what the answer should have been, by a person who saw this one; expected: by a data set.
    """

    name: str
    value: Value = None
    source: Source = "code"
    trace_id: str = ""
    span_id: str | None = None
    comment: str | None = None
    correction: str | None = None
    expected: str | None = None
    at: str | None = None
    confidence: float | None = None

    def as_logged(self) -> dict[str, Any]:
        """What a run log line keeps of it."""
        names = ("name", "value", "source", "comment", "correction", "at")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(slots=True)
class Span:
    """One step. kind `llm`: a model call, with its prompt and answer; `retrieval`: with documents; `other`: maybe with both texts.

    messages: the prompt in OpenAI's form. started: as the format has it. metadata: keys that no field holds.
    """

    trace_id: str
    id: str
    parent_id: str | None = None
    kind: Literal["llm", "retrieval", "other"] = "llm"
    messages: list[dict[str, Any]] = field(default_factory=list)
    answer: str = ""
    tool_calls: list[dict[str, Any]] | None = None
    documents: list[Document] = field(default_factory=list)
    model: str | None = None
    started: str | float | None = None
    latency_ms: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    question_id: str | None = None
    slice: str | None = None
    run_id: str | None = None
    expected: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, float, str]:
        """Sorts spans of one trace by their start, whatever the format writes it in."""
        if isinstance(self.started, int | float):
            return 0, float(self.started), ""
        return 1, 0.0, self.started or ""


@dataclass
class Trace:
    """Everything of one trace, in the order of the file."""

    id: str
    spans: list[Span]
    feedback: list[Feedback]


Piece = Span | Feedback


class Reader(Protocol):
    """A format. `unpack`: the records inside a document that wraps them (a page of an API); a record that is none gives itself."""

    recognise: Callable[[dict[str, Any]], str | None]
    unpack: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
    read: Callable[[dict[str, Any]], Iterable[Piece]]


def maybe_json(value: Any, depth: int = 3) -> Any:
    """JSON inside a string, as most exports have it, up to so many deep; any other value as it is."""
    for _ in range(depth):
        if not isinstance(value, str) or value[:1] not in ("{", "[", '"'):
            return value
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def as_text(value: Any) -> str | None:
    """Text, and any other value as JSON; nothing for null."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def as_number(value: Any) -> float | None:
    """A number, also in text; None for anything else."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number else None


def as_dict(value: Any) -> dict[str, Any]:
    """An object, also in JSON text; empty for anything else."""
    value = maybe_json(value)
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A list, also in JSON text; empty for anything else."""
    value = maybe_json(value)
    return value if isinstance(value, list) else []


def first(record: dict[str, Any], *names: str) -> Any:
    """The value of the first of these keys that has one."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def left(record: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """What a record has under other keys, without empty values."""
    names = set(known)
    return {key: value for key, value in record.items() if key not in names and value not in (None, "", [], {})}


def between(start: str | None, end: str | None) -> float | None:
    """Milliseconds from one ISO 8601 time to another; None if one is missing or no time."""
    try:
        ends = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (start or "", end or "")]
        return (ends[1] - ends[0]).total_seconds() * 1000
    except (ValueError, TypeError):
        return None


def made_id(*values: Any) -> str:
    """An id for what has none: the same values have the same."""
    return f"r-{version_of(*(repr(value).encode() for value in values))}"


def objects(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    return (value for value in values if isinstance(value, dict))
