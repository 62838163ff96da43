"""The columns of a run log part, and the way from RunLogLine to a record batch and back.

A part is Parquet (zstd). Unknown keys of a line are one JSON object in `extra`, big integers and all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
import pyarrow as pa

from burnish.schemas.runlog import RunLogLine

LINE_NUMBER = "line_number"
EXTRA = "extra"
MESSAGES = "messages"

SCHEMA = pa.schema(
    [
        pa.field(LINE_NUMBER, pa.int64(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("system_prompt", pa.string(), nullable=False),
        pa.field("evidence_text", pa.string(), nullable=False),
        pa.field("evidence_files", pa.list_(pa.string()), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("retrieval_hit", pa.bool_(), nullable=False),
        pa.field("grade", pa.string()),
        pa.field("failure_label", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field(MESSAGES, pa.string()),
        pa.field("expected_answer", pa.string()),
        pa.field("slice", pa.string()),
        pa.field("model", pa.string()),
        pa.field("timestamp", pa.string()),
        pa.field("latency_ms", pa.float64()),
        pa.field(EXTRA, pa.string()),
    ]
)
CATEGORIES = [
    "question_id",
    "grade",
    "failure_label",
    "run_id",
    "slice",
    "model",
    "system_prompt",
    "evidence_files.list.element",
]
_AS_IS = [name for name in SCHEMA.names if name not in (LINE_NUMBER, MESSAGES, EXTRA)]


def to_batch(numbers: Sequence[int], lines: Sequence[RunLogLine]) -> pa.RecordBatch:
    """Rows for the given lines, in order; numbers are their line numbers in the file."""
    fields = [line.__dict__ for line in lines]
    columns: dict[str, list[Any]] = {name: [row[name] for row in fields] for name in _AS_IS}
    columns[LINE_NUMBER] = list(numbers)
    columns[MESSAGES] = [_messages_json(line) for line in lines]
    columns[EXTRA] = [_extra_json(line.__pydantic_extra__) for line in lines]
    arrays = [pa.array(columns[field.name], type=field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def from_rows(rows: Iterable[dict[str, Any]]) -> Iterator[RunLogLine]:
    """The lines that `to_batch` was given, from rows that have every column."""
    for row in rows:
        fields = {name: row[name] for name in _AS_IS}
        fields[MESSAGES] = orjson.loads(row[MESSAGES]) if row[MESSAGES] is not None else None
        extra = json.loads(row[EXTRA]) if row[EXTRA] is not None else {}
        yield RunLogLine.model_validate(fields | extra)


def _messages_json(line: RunLogLine) -> str | None:
    if line.messages is None:
        return None
    return orjson.dumps([message.__dict__ for message in line.messages]).decode()


def _extra_json(extra: dict[str, Any] | None) -> str | None:
    if not extra:
        return None
    try:
        return orjson.dumps(extra).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(extra, ensure_ascii=False)
