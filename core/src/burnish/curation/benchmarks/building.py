"""Reads a benchmark file. A benchmark must be whole: one bad line refuses the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from burnish import grading
from burnish.curation.jsonl import read_jsonl
from burnish.digests import sha256_hex, version_of
from burnish.errors import InvalidInputError
from burnish.jsonl import to_jsonl
from burnish.schemas.base import FileEntry
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.runlog import RejectedLine

QUESTIONS = "questions.jsonl"
NAMED_FAULTS = 10


@dataclass(frozen=True)
class BuiltBenchmark:
    """Ready to be stored: questions.jsonl in one canonical spelling, then the manifest."""

    manifest: BenchmarkManifest
    questions: bytes


def build_benchmark(chunks: Iterable[bytes], name: str) -> BuiltBenchmark:
    """InvalidInputError with line numbers for a bad line, a question id given twice, an unknown grader or
    arguments that it cannot work with (a broken pattern or schema), or an empty file."""
    questions: list[BenchmarkQuestion] = []
    faults: list[str] = []
    first_line: dict[str, int] = {}
    for number, row in read_jsonl(chunks, BenchmarkQuestion):
        if isinstance(row, RejectedLine):
            faults.append(f"line {number}: {row.reason}")
            continue
        earlier = first_line.setdefault(row.question_id, number)
        if earlier != number:
            faults.append(f"line {number}: question_id {row.question_id!r} is already on line {earlier}")
        if not row.expected_answer.strip():
            faults.append(
                f"line {number}: expected_answer of {row.question_id!r} is empty: write the right answer, or take the line out"
            )
        try:
            grading.check(row.grader, row.expected_answer)
        except InvalidInputError as error:
            faults.append(f"line {number}: {error.message}")
        questions.append(row)
    if faults:
        more = f"; and {len(faults) - NAMED_FAULTS} more" if len(faults) > NAMED_FAULTS else ""
        raise InvalidInputError(f"benchmark {name}: {'; '.join(faults[:NAMED_FAULTS])}{more}", faults=len(faults))
    if not questions:
        raise InvalidInputError(f"benchmark {name}: the file has no question; send JSONL, one question a line")
    return _seal(name, questions)


def _seal(name: str, questions: list[BenchmarkQuestion]) -> BuiltBenchmark:
    data = to_jsonl(questions)
    manifest = BenchmarkManifest(
        name=name,
        version=version_of(data),
        questions=len(questions),
        slices=dict(sorted(Counter(question.slice for question in questions).items())),
        files=[FileEntry(path=QUESTIONS, size_bytes=len(data), sha256=sha256_hex(data))],
    )
    return BuiltBenchmark(manifest, data)
