"""Stored documents without erased texts: JSON and JSONL by their values, all other text by its bytes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from burnish.erasure.texts import ERASED, Texts

PACKED = (b"PAR1", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # Parquet, zip, zstd
GZIP = b"\x1f\x8b"
ANSWERS = ("answer", "base_answer", "candidate_answer")


def answers_to(data: bytes, questions: Collection[str]) -> set[str]:
    """The answers that JSON or JSONL holds to these questions."""
    found: set[str] = set()

    def visit(value: Any) -> Any:
        if isinstance(value, dict) and value.get("question_id") in questions:
            for name in ANSWERS:
                if isinstance(value.get(name), str):
                    found.add(value[name])
        return value

    _walk_all(data, visit)
    return found


def redacted(data: bytes, texts: Texts, questions: Collection[str] = ()) -> bytes:
    """The same document; a value of JSON that holds a text is ERASED whole, and so is every answer to one of the questions."""

    def visit(value: Any) -> Any:
        if isinstance(value, str):
            return ERASED if texts.found_in(value.encode(errors="surrogatepass")) else value
        if isinstance(value, dict) and value.get("question_id") in questions:
            return value | {name: ERASED for name in ANSWERS if isinstance(value.get(name), str)}
        return value

    if data[:4] in PACKED or data[:2] == GZIP:
        return data  # what it holds cannot be replaced in place: the search names it
    written = _walk_all(data, visit)
    return texts.replaced(data) if written is None else written


def _walk_all(data: bytes, visit: Any) -> bytes | None:
    """JSON, or JSON lines, with every value as `visit` gives it back; None if it is neither. Unchanged lines keep their bytes."""
    try:
        return _rewritten(data, visit)
    except orjson.JSONDecodeError:
        pass
    try:
        return b"".join(
            _rewritten(line, visit).rstrip(b"\n") + b"\n" if line.strip() else line + b"\n"
            for line in data.splitlines()
        )
    except orjson.JSONDecodeError:
        return None


def _rewritten(data: bytes, visit: Any) -> bytes:
    before = orjson.loads(data)
    after = _walk(before, visit)
    if after == before:
        return data
    indent = orjson.OPT_INDENT_2 if b"\n  " in data else 0
    return orjson.dumps(after, option=indent | orjson.OPT_APPEND_NEWLINE)


def _walk(value: Any, visit: Any) -> Any:
    value = visit(value)
    if isinstance(value, dict):
        return {key: _walk(inner, visit) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, visit) for inner in value]
    return value
