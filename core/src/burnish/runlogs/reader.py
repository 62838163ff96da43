"""Reads rows and columns of a run log from its local Parquet parts: only the columns and row groups that a question needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from burnish.errors import NotFoundError
from burnish.runlogs.columns import SCHEMA, completed, from_rows
from burnish.runlogs.json_lines import to_json
from burnish.schemas.runlog import RunLogLine

LABEL = "failure_label"
READ_AS_CATEGORIES = ["question_id", "grade", "failure_label", "run_id", "slice", "model"]
FEW_ROWS = 100


@dataclass(frozen=True)
class RowGroup:
    """Where a run of rows is: `start` is the index of its first row in the whole log."""

    part: int
    number: int
    start: int
    rows: int


@dataclass(frozen=True)
class GivenLabels:
    """Failure labels that a clustering gives to rows. rows: ascending; label: of each, a place in `names`, or -1 for none."""

    rows: np.ndarray
    label: np.ndarray
    names: list[str]


class RunLogReader:
    """A run log as a table whose rows are numbered from 0 in the order of the file. Immutable; safe to share between threads.

    labels: what `failure_label` is of the rows that it names, whatever was logged. The one place that decides a row's label.
    """

    def __init__(self, parts: Sequence[Path], labels: GivenLabels | None = None) -> None:
        self._parts = list(parts)
        self._labels = labels
        self._groups: list[RowGroup] = []
        start = 0
        for part, path in enumerate(self._parts):
            with _present():
                metadata = pq.read_metadata(path)
            for number in range(metadata.num_row_groups):
                rows = metadata.row_group(number).num_rows
                self._groups.append(RowGroup(part, number, start, rows))
                start += rows
        self.rows = start

    def columns(self, names: Sequence[str]) -> pa.Table:
        """All rows of some columns; identifiers and labels come dictionary-encoded."""
        encoded = [name for name in READ_AS_CATEGORIES if name in names]
        with _present():
            tables = [self._columns_of(path, names, encoded) for path in self._parts]
        return self._labelled(pa.concat_tables(tables).unify_dictionaries(), np.arange(self.rows))

    def _columns_of(self, path: Path, names: Sequence[str], encoded: list[str]) -> pa.Table:
        """A part that an earlier version wrote may lack a column."""
        present = [name for name in names if name in pq.read_schema(path).names]
        return completed(pq.read_table(path, columns=present, read_dictionary=encoded), names)

    def labelled(self, labels: GivenLabels | None) -> RunLogReader:
        """The same run log with other labels."""
        return RunLogReader(self._parts, labels)

    def find(self, **wanted: Collection[Any]) -> np.ndarray:
        """Indices of the rows that have one of the wanted values in each of these columns, ascending; no column: all rows."""
        if not wanted:
            return np.arange(self.rows)
        table = self.columns(list(wanted))
        mask = np.ones(self.rows, dtype=bool)
        for name, values in wanted.items():
            plain = SCHEMA.field(name).type
            mask &= pc.is_in(table[name].cast(plain), pa.array(list(values), type=plain)).to_numpy()
        return np.flatnonzero(mask)

    def table(self, indices: Sequence[int] | np.ndarray, names: Sequence[str] | None = None) -> pa.Table:
        """The given rows in ascending order, each once; `names` are the columns wanted (None: all)."""
        pieces = list(self.pieces(indices, names))
        return pa.concat_tables(pieces) if pieces else self._empty(names)

    def pieces(self, indices: Sequence[int] | np.ndarray, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """What `table` gives, one row group in memory at a time."""
        wanted = np.unique(np.asarray(indices, dtype=np.int64))
        for group, local in self._locate(wanted):
            yield self._group_rows(group, local, names)

    def lines(self, indices: Sequence[int] | np.ndarray) -> Iterator[RunLogLine]:
        """The given rows as lines, in ascending order, each once; one row group in memory at a time."""
        for piece in self.pieces(indices):
            yield from from_rows(piece.to_pylist())

    def _locate(self, wanted: np.ndarray) -> Iterator[tuple[RowGroup, np.ndarray]]:
        """Row groups that hold wanted rows, each with the rows' numbers inside it."""
        if not len(wanted):
            return
        if wanted[0] < 0 or wanted[-1] >= self.rows:
            raise IndexError(f"row {wanted[-1]} of a run log of {self.rows}")
        starts = [group.start for group in self._groups]
        groups = np.searchsorted(starts, wanted, side="right") - 1
        for number in np.unique(groups):
            group = self._groups[number]
            yield group, wanted[groups == number] - group.start

    def _group_rows(self, group: RowGroup, local: np.ndarray, names: Sequence[str] | None) -> pa.Table:
        with _present(), pq.ParquetFile(self._parts[group.part]) as part:
            columns = list(names) if names is not None else None
            is_many = len(local) > FEW_ROWS  # threads cost a lone reader more than they give on a busy machine
            rows = part.read_row_group(group.number, columns=columns, use_threads=is_many).take(pa.array(local))
        rows = completed(rows, names) if names is not None else rows
        return self._labelled(rows, local + group.start)

    def _labelled(self, table: pa.Table, rows: np.ndarray) -> pa.Table:
        """The table with the labels that these rows were given."""
        if self._labels is None or LABEL not in table.column_names:
            return table
        given = self._labels
        place = np.searchsorted(given.rows, rows).clip(max=max(0, len(given.rows) - 1))
        has = given.rows[place] == rows if len(given.rows) else np.zeros(len(rows), dtype=bool)
        label = np.where(has, given.label[place] if len(given.rows) else -1, -1)
        named = pa.DictionaryArray.from_arrays(pa.array(label, mask=label < 0), pa.array(given.names, pa.string()))
        old = table[LABEL]
        mixed = pc.if_else(pa.array(has), named.cast(pa.string()), old.cast(pa.string()))
        if pa.types.is_dictionary(old.type):
            mixed = mixed.dictionary_encode()
        return table.set_column(table.column_names.index(LABEL), LABEL, mixed)

    def _empty(self, names: Sequence[str] | None) -> pa.Table:
        with _present():
            schema = pq.read_schema(self._parts[0])
        table = schema.empty_table()
        return completed(table, names) if names is not None else table


@contextmanager
def _present() -> Iterator[None]:
    """NotFoundError if a part is no longer there: its run log was removed after this reader was opened."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(
            "the run log was removed while it was read: `burnish runs ls` lists what there is"
        ) from error


BLOCK_BYTES = 1 << 20


def jsonl_blocks(reader: RunLogReader) -> Iterator[bytes]:
    """Every line as JSONL in blocks of about 1 MiB, as an import takes it; a value that is absent is left out, but for the grade."""
    block = bytearray()
    for line in reader.lines(np.arange(reader.rows)):
        block += to_json(line) + b"\n"
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
