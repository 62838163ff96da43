"""The columns of a run log part, and the way from RunLogLine to a record batch and back.

A part is Parquet (zstd). Unknown keys of a line are one JSON object in `extra`, big integers and all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from burnish.runlogs.json_lines import as_json
from burnish.schemas.runlog import RunLogLine

LINE_NUMBER = "line_number"
EXTRA = "extra"
MESSAGES = "messages"
JSON = ("tool_calls", "feedback", "graded_by")  # columns that hold JSON

SCHEMA = pa.schema(
    [
        pa.field(LINE_NUMBER, pa.int64(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("system_prompt", pa.string(), nullable=False),
        pa.field("evidence_text", pa.string(), nullable=False),
        pa.field("evidence_files", pa.list_(pa.string()), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("retrieval_hit", pa.bool_()),
        pa.field("grade", pa.string()),
        pa.field("failure_label", pa.string()),
        pa.field("run_id", pa.string()),
        pa.field(MESSAGES, pa.string()),
        pa.field("expected_answer", pa.string()),
        pa.field("slice", pa.string()),
        pa.field("model", pa.string()),
        pa.field("timestamp", pa.string()),
        pa.field("latency_ms", pa.float64()),
        pa.field("user_id", pa.string()),
        pa.field("trace_id", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("correction", pa.string()),
        pa.field("tool_calls", pa.string()),
        pa.field("feedback", pa.string()),
        pa.field("graded_by", pa.string()),
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
    "user_id",
    "finish_reason",
    "system_prompt",
    "evidence_files.list.element",
]
_AS_IS = [name for name in SCHEMA.names if name not in (LINE_NUMBER, MESSAGES, EXTRA, *JSON)]


def to_batch(numbers: Sequence[int], lines: Sequence[RunLogLine]) -> pa.RecordBatch:
    """Rows for the given lines, in order; numbers are their line numbers in the file."""
    given: set[str] = set().union(*(line.__pydantic_fields_set__ for line in lines))
    fields = [line.__dict__ for line in lines]

    def values(name: str) -> list[Any]:
        if name == LINE_NUMBER:
            return list(numbers)
        if name == EXTRA:
            return [as_json(line.__pydantic_extra__ or None) for line in lines]
        if name == MESSAGES:
            return [_messages_json(line) for line in lines]
        if name in JSON:
            return [None if row[name] is None else as_json(row[name]) for row in fields]
        return [row[name] for row in fields]

    arrays = [
        pa.nulls(len(lines), field.type)
        if field.nullable and field.name not in given and field.name != EXTRA
        else pa.array(values(field.name), type=field.type)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def from_rows(rows: Iterable[dict[str, Any]]) -> Iterator[RunLogLine]:
    """The lines that `to_batch` was given, from rows that have every column of their part.

    A part that an earlier version wrote lacks the columns that came later; what a line had under such a name is among its
    extra keys.
    """
    for row in rows:
        fields = {name: row[name] for name in _AS_IS if name in row}
        for name in (MESSAGES, *JSON):
            fields[name] = json.loads(row[name]) if row.get(name) is not None else None
        extra = json.loads(row[EXTRA]) if row[EXTRA] is not None else {}
        yield RunLogLine.read(fields | extra)


def completed(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The named columns of a table in this order; one that its part lacks is null in every row."""
    nulls = {n: pa.nulls(table.num_rows, SCHEMA.field(n).type) for n in names if n not in table.column_names}
    return pa.table({name: nulls[name] if name in nulls else table[name] for name in names})


def _messages_json(line: RunLogLine) -> str | None:
    if line.messages is None:
        return None
    messages = [
        {
            key: value
            for key, value in (message.__dict__ | (message.__pydantic_extra__ or {})).items()
            if value is not None
        }
        for message in line.messages
    ]
    return as_json(messages)
