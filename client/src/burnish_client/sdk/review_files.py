"""A review as a table for spreadsheets: CSV with the fields of ReviewItem as columns. The way back gives the same items.

A spreadsheet runs a cell that begins with = + - or @ as a formula, and what a model wrote may begin so. Such a cell gets an
apostrophe before it, which the way back takes off.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from burnish.errors import InvalidInputError
from burnish.schemas.dataset import DatasetFormat
from burnish.schemas.runlog import ReviewItem

COLUMNS = list(ReviewItem.model_fields)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_FORMAT_OF: dict[str, DatasetFormat] = {"a": "dpo", "b": "dpo", "up": "kto", "down": "kto"}
_ORDER: tuple[DatasetFormat, ...] = ("sft", "dpo", "kto")
_BOM = "\ufeff"  # tells Excel that the file is UTF-8


def is_csv(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() == ".csv"


def to_csv(items: Iterable[ReviewItem]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for item in items:
        writer.writerow([_cell(value) for value in item.model_dump().values()])
    return (_BOM + out.getvalue()).encode()


def from_csv(content: bytes) -> list[ReviewItem]:
    """Items of a table. Columns may be missing or in another order; semicolons and tabs between cells are understood too.

    InvalidInputError names the line of the file and the field that cannot be read, or a column that is not known.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the table is not UTF-8 (byte {error.start}): save it as CSV UTF-8") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    unknown = [name for name in rows.fieldnames or [] if name not in COLUMNS]
    if unknown:
        raise InvalidInputError(f"column {unknown[0]!r} is not known: there are {', '.join(COLUMNS)}", field=unknown[0])
    csv.field_size_limit(len(text) + 1)
    return [_item(row, rows.line_num) for row in rows if any(row.values())]


def formats_of(items: Iterable[ReviewItem]) -> dict[DatasetFormat, int]:
    """The formats of a dataset that the items make rows of, and how many do, the most first.

    A correction counts for sft, though dpo and kto take it too; a comparison for dpo; a thumb for kto. Ties and `neither` make no row.
    """
    found: Counter[DatasetFormat] = Counter()
    for item in items:
        if item.corrected_output.strip():
            found["sft"] += 1
        elif item.preference in _FORMAT_OF:
            found[_FORMAT_OF[item.preference]] += 1
    return dict(sorted(found.items(), key=lambda each: (-each[1], _ORDER.index(each[0]))))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False) if value else ""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _item(row: dict[str, Any], line: int) -> ReviewItem:
    cells = {name: cell.removeprefix("'") for name, cell in row.items() if name is not None and cell}
    try:
        if "evidence_files" in cells:
            cells["evidence_files"] = json.loads(cells["evidence_files"])
        return ReviewItem.model_validate({"question": "", "original_answer": ""} | cells)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"line {line}: evidence_files: not a JSON list: {error.msg}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise InvalidInputError(f"line {line}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
