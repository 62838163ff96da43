"""Run log lines as JSON. Needs no pyarrow, so the client has it too."""

from __future__ import annotations

import json
from typing import Any

import orjson
from pydantic import BaseModel

from burnish.schemas.runlog import RunLogLine


def as_json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return orjson.dumps(value, default=_of_model).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, ensure_ascii=False)


def _of_model(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(exclude_none=True)


def to_json(line: RunLogLine) -> bytes:
    """A line as JSON that `RunLogLine.read` reads as the same line."""
    fields = {"grade": None} | {name: value for name, value in line.model_dump().items() if value is not None}
    if fields.get("graded_by"):
        fields["graded_by"] = {name: value for name, value in fields["graded_by"].items() if value is not None}
    for message in fields.get("messages") or ():
        for name in [name for name, value in message.items() if value is None and name != "content"]:
            del message[name]
    return (as_json(fields) or "").encode()
