"""Parts of a run log, read and rewritten without some of their lines. A part keeps its columns and its row groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from burnish.runlogs.columns import CATEGORIES, LINE_NUMBER, from_rows
from burnish.runlogs.ingestion import seal
from burnish.schemas.base import FileEntry
from burnish.schemas.runlog import NO_GRADE, RunLogLine


def lines_of(parts: Sequence[Path], numbers: Collection[int]) -> Iterator[RunLogLine]:
    """The lines with these numbers, a row group in memory at a time."""
    for table in _groups(parts):
        yield from from_rows(table.filter(_among(table, numbers)).to_pylist())


def other_lines(parts: Sequence[Path], numbers: Collection[int]) -> Iterator[pa.Table]:
    """The rows of all other lines, a table a row group."""
    for table in _groups(parts):
        yield table.filter(pc.invert(_among(table, numbers)))


def others_about(parts: Sequence[Path], numbers: Collection[int], questions: Collection[str]) -> Iterator[RunLogLine]:
    """Other lines that ask one of these questions."""
    wanted = pa.array(list(questions), type=pa.string())
    for table in other_lines(parts, numbers):
        yield from from_rows(table.filter(pc.is_in(table["question_id"], wanted)).to_pylist())


def rewrite(parts: Sequence[Path], numbers: Collection[int], folder: Path) -> tuple[list[FileEntry], Counter[str]]:
    """New parts in `folder` without these lines, and how many lines have each grade. A part of which nothing is left is left out, but for the first."""
    entries: list[FileEntry] = []
    grades: Counter[str] = Counter()
    for number, part in enumerate(parts):
        path = folder / "part.open"
        kept = 0
        with pq.ParquetFile(part) as source:
            names = [name for name in CATEGORIES if name.split(".")[0] in source.schema_arrow.names]
            with pq.ParquetWriter(
                path, source.schema_arrow, compression="zstd", compression_level=1, use_dictionary=names
            ) as writer:
                for table in _groups([part]):
                    rest = table.filter(pc.invert(_among(table, numbers)))
                    kept += rest.num_rows
                    grades.update(grade or NO_GRADE for grade in rest["grade"].to_pylist())
                    if rest.num_rows:
                        writer.write_table(rest, row_group_size=rest.num_rows)
        if kept or number == 0:
            entries.append(seal(path, f"part-{number:05d}", ".parquet"))
        else:
            path.unlink()
    return entries, grades


def strings_of(table: pa.Table) -> Iterator[bytes]:
    """Every text of a table, quoted and a line each, so that it can be searched as any file."""
    for name in table.column_names:
        column = table[name]
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        if pa.types.is_string(column.type):
            for value in pc.unique(column).to_pylist():
                if value:
                    yield b'"' + value.encode(errors="surrogatepass") + b'"\n'


def _groups(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as source:
            for number in range(source.num_row_groups):
                yield source.read_row_group(number)


def _among(table: pa.Table, numbers: Collection[int]) -> pa.Array:
    return pc.is_in(table[LINE_NUMBER], pa.array(list(numbers), type=pa.int64()))
