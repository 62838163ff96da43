"""Values of a run log line in the shapes in which applications log them, and what each becomes.

Used by the run log schema alone, for lines that are not in its own shapes already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

UNGRADED = "ungraded"
INLINE_CHARACTERS = 1024  # longer text in a part that is no text is data, and is kept by its digest
TEXT_KEYS = ("text", "refusal")
RETRIEVAL = {"hit": True, "miss": False, "unknown": None}


def text_of(content: Any) -> str:
    """A message's content as text: parts a line each, and what is no text as `[its type]`. Null is no text."""
    if content is None or type(content) is str:
        return content or ""
    if type(content) is not list:
        raise ValueError("give text, content parts or null")
    return "\n".join(_part_text(part) for part in content)


def _part_text(part: Any) -> str:
    if type(part) is str:
        return part
    if type(part) is not dict:
        raise ValueError("a content part is an object with a type, or text")
    text = next((part[key] for key in TEXT_KEYS if type(part.get(key)) is str), None)
    return text if text is not None else f"[{part.get('type', 'part')}]"


def is_text(content: Any) -> bool:
    """Whether `text_of` says all of it."""
    return type(content) is not list or all(
        type(part) is str or any(type(part.get(key)) is str for key in TEXT_KEYS) for part in content
    )


def by_reference(content: Any) -> Any:
    """Content parts without the data inside them: text stays, a URL stays, and data becomes `sha256:<digest>;characters=<n>`."""
    if type(content) is not list:
        return content
    text_of(content)
    return [part if is_text([part]) else _without_data(part) for part in content]


def _without_data(value: Any) -> Any:
    if type(value) is dict:
        return {key: _without_data(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_without_data(inner) for inner in value]
    if type(value) is str and (value.startswith("data:") or len(value) > INLINE_CHARACTERS):
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()};characters={len(value)}"
    return value


def iso_time(value: Any) -> Any:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size, as ISO 8601 in UTC."""
    if type(value) is str or value is None:
        return value
    if type(value) not in (int, float):
        raise ValueError("give ISO 8601 text, or a number since 1970")
    seconds = float(value)
    for _ in range(3):
        if abs(seconds) >= 1e11:  # the year 5138
            seconds /= 1000
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"{value} is no time") from None


def grade_word(value: Any) -> Any:
    """True and false are correct and incorrect; `ungraded` is null."""
    if type(value) is bool:
        return "correct" if value else "incorrect"
    return None if type(value) is str and value.strip().casefold() == UNGRADED else value


def retrieval(value: Any) -> Any:
    """hit, miss and unknown are true, false and null."""
    return RETRIEVAL.get(value.strip().casefold(), value) if type(value) is str else value


def any_text(value: Any) -> Any:
    """A value of any kind as text, since logs had these keys before they meant anything: other than text is written as JSON."""
    if value is None or type(value) is str:
        return value
    return json.dumps(value, ensure_ascii=False)


SHAPES: dict[str, Callable[[Any], Any]] = {
    "question": text_of,
    "answer": text_of,
    "grade": grade_word,
    "retrieval_hit": retrieval,
    "timestamp": iso_time,
    "user_id": any_text,
    "trace_id": any_text,
    "finish_reason": any_text,
    "correction": any_text,
    "graded_by": lambda value: {"source": any_text(value)} if not isinstance(value, dict) else value,
}


def reshaped(line: dict[str, Any]) -> dict[str, Any]:
    """A line with every key in the shape of its field; what cannot be brought into it stays as it is."""
    return line | {name: _shaped(line[name], shape) for name, shape in SHAPES.items() if name in line}


def _shaped(value: Any, shape: Callable[[Any], Any]) -> Any:
    try:
        return shape(value)
    except ValueError:
        return value


class LoggedMessage(BaseModel):
    """A chat message as it was logged, with keys that Burnish does not know. `text` is what is read of it.

    content: text, null, or content parts (OpenAI's form).
    """

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[str | list[Any] | None, BeforeValidator(by_reference)] = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        return text_of(self.content)

    @property
    def is_plain(self) -> bool:
        """Whether role and text are all of it: no tool is called or answers, and no part is an image or a file."""
        return not self.tool_calls and self.role not in ("tool", "function") and is_text(self.content)
