"""Small run logs for tests: lines as dicts, files as bytes, and opened readers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from burnish.diagnosis import RunCodes, read_codes
from burnish.runlogs.columns import to_batch
from burnish.runlogs.ingestion import ingest
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of
from burnish.schemas.runlog import RunLogLine


def run(question_id: str | int = "q1", **fields: Any) -> dict[str, Any]:
    """A failing, model-attributed run of a question; fields override."""
    base = {
        "question_id": question_id,
        "question": f"What is {question_id}?",
        "answer": "wrong answer",
        "retrieval_hit": True,
        "grade": "wrong",
        "failure_label": "not-json",
        "run_id": "r1",
    }
    return base | fields


def passing(question_id: str, **fields: Any) -> dict[str, Any]:
    return run(question_id, **({"grade": "correct", "failure_label": None, "answer": f"right {question_id}"} | fields))


def jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def open_log(folder: Path, lines: Iterable[dict[str, Any]]) -> tuple[RunLogReader, RunCodes]:
    """Ingest the lines into an empty folder and open what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = ingest([jsonl(lines)], folder).manifest("test")
    reader = RunLogReader([folder / entry.path for entry in files_of(manifest).parts])
    return reader, read_codes(reader)


LATER_COLUMNS = ("user_id", "trace_id", "finish_reason", "correction", "tool_calls", "feedback", "graded_by")


def open_older_log(folder: Path, lines: Iterable[dict[str, Any]]) -> tuple[RunLogReader, RunCodes]:
    """As `open_log`, of parts that an earlier version wrote: fewer columns, and any word as a grade."""
    parsed = [RunLogLine.model_validate(line) for line in lines]
    table = pa.Table.from_batches([to_batch(range(1, len(parsed) + 1), parsed)]).drop_columns(LATER_COLUMNS)
    pq.write_table(table, folder / "part-00000.parquet")
    reader = RunLogReader([folder / "part-00000.parquet"])
    return reader, read_codes(reader)


def repeated_failures(labels: dict[str, int], runs: int = 2, passing_questions: int = 0) -> list[dict[str, Any]]:
    """`labels[label]` questions failing under each label in each run, and questions that always pass over three slices."""
    failing = [(label, f"{label}-{number:03d}") for label, count in labels.items() for number in range(count)]
    lines = []
    for number in range(runs):
        run_id = f"r{number}"
        lines += [run(question_id, failure_label=label, run_id=run_id) for label, question_id in failing]
        lines += [passing(f"ok-{n:03d}", run_id=run_id, slice=f"slice-{n % 3}") for n in range(passing_questions)]
    return lines
