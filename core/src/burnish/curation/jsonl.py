"""Reads a JSONL file of a Pydantic schema, line by line, with line-numbered rejects. For review files and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from burnish.errors import validation_problems
from burnish.runlogs.lines import MAX_LINE_BYTES, excerpt, split_lines
from burnish.runlogs.parsing import RejectedError, parse_object
from burnish.schemas.runlog import RejectedLine

Row = TypeVar("Row", bound=BaseModel)


def read_jsonl(chunks: Iterable[bytes], schema: type[Row]) -> Iterator[tuple[int, Row | RejectedLine]]:
    """(line number, row or why it is none) for every non-blank line. JSON as strict as in run logs; no type is coerced."""
    for line in split_lines(chunks):
        if line.content is None:
            yield line.number, rejected(line.number, line.head, f"longer than {MAX_LINE_BYTES // 2**20} MiB")
            continue
        try:
            yield line.number, schema.model_validate(parse_object(line.content), strict=True)
        except RejectedError as reason:
            yield line.number, rejected(line.number, line.head, str(reason))
        except ValidationError as error:
            yield line.number, rejected(line.number, line.head, validation_problems(error, whole="line"))


def rejected(number: int, content: bytes, reason: str) -> RejectedLine:
    return RejectedLine(line_number=number, reason=reason, excerpt=excerpt(content))
