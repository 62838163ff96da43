"""Text of the rows: is there any, was it decoded rightly, and does it speak in the chat template's own tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from burnish.schemas.dataset import DatasetFormat
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record, Records
from burnish_trainer.preflight.registry import finding

# Form feeds stay: old source code has them between functions. U+0080 to U+009F: text of Windows-1252 read as Latin-1.
DAMAGE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd]")


def check_readable(records: Records, format: DatasetFormat) -> Iterable[Finding]:
    if records.unreadable:
        name, reason = next(iter(records.unreadable.items()))
        yield finding(
            "row-unreadable",
            f"{len(records.unreadable)} lines are no {format} rows ({name}: {reason}): mend or remove them, and build again",
            records.unreadable,
        )


def check_text(records: Sequence[Record]) -> Iterable[Finding]:
    empty = [record.question_id for record in records if _has_empty_field(record)]
    if empty:
        yield finding(
            "field-empty", f"{_rows(empty)} an empty prompt, message or completion: fill or remove them", empty
        )
    damaged = {record.question_id: hit for record in records if (hit := _damage(record))}
    if damaged:
        first = next(iter(damaged.values()))
        yield finding(
            "text-damaged",
            f"{_rows(damaged)} characters that no writer types (first: U+{ord(first):04X}): read the source again with "
            "its right encoding, or strip them",
            damaged,
        )


def check_control_tokens(records: Sequence[Record], control_tokens: Iterable[str]) -> Iterable[Finding]:
    """control_tokens: special tokens that the chat template writes; in a row's text they would end or begin a turn."""
    tokens = sorted(control_tokens)
    if not tokens:
        return
    pattern = re.compile("|".join(map(re.escape, tokens)))
    hits = {
        record.question_id: hit.group()
        for record in records
        if (hit := next(filter(None, (pattern.search(message.content) for message in record.messages)), None))
    }
    if hits:
        first = next(iter(hits.values()))
        yield finding(
            "control-token-in-text",
            f"{_rows(hits)} a token of the chat template in their text (first: {first}), which is trained on as the real "
            "one: log messages without the template's marks",
            hits,
        )


def _has_empty_field(record: Record) -> bool:
    parts = (record.prompt, *record.answers)
    return not all(parts) or not all(message.content.strip() for message in record.messages)


def _damage(record: Record) -> str | None:
    return next((hit.group() for message in record.messages if (hit := DAMAGE.search(message.content))), None)


def _rows(ids: Sequence[str] | dict[str, str]) -> str:
    return "1 row has" if len(ids) == 1 else f"{len(ids)} rows have"
