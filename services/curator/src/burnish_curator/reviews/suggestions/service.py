"""What a teacher is asked, its answers kept with their grade, and what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from burnish.curation.distillation.asked import review_prompts
from burnish.curation.distillation.graded import read_answers
from burnish.curation.log_grading import LogGrader
from burnish.errors import InvalidInputError, NotFoundError
from burnish.grading.registry import describe
from burnish.jsonl import to_jsonl
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.review import SUGGESTION_GRADES, SuggestionRemoval, SuggestionTeacher
from burnish.schemas.runlog import SuggestionImport
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.reviews.deciding import Filters, QueueService
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.runlogs.repository import RunLogRepository

ITEMS_AT_ONCE = 500


class SuggestionService:
    def __init__(
        self,
        run_logs: RunLogRepository,
        queue: QueueService,
        suggestions: SuggestionRepository,
        benchmarks: BenchmarkRepository,
    ) -> None:
        self._run_logs = run_logs
        self._queue = queue
        self._suggestions = suggestions
        self._benchmarks = benchmarks

    def prompts(
        self, filters: Filters, model: str | None, host: str | None, limit: int | None, *, again: bool
    ) -> Iterator[bytes]:
        """JSONL of ReviewPrompt, in the order of the queue. Without `again`, what this teacher has answered is left out."""
        log, rows = self._queue.rows(filters)
        answered = self._suggestions.answered(filters.run_log_id, model, host) if model and host and not again else {}
        prompts = review_prompts(log, rows, answered, limit)
        return iter(lambda: to_jsonl(islice(prompts, ITEMS_AT_ONCE)), b"")

    def keep(
        self, run_log_id: str, chunks: Iterator[bytes], benchmark: str | None = None, grader: str | None = None
    ) -> SuggestionImport:
        """Grade the answers and keep them. benchmark, grader: of lines that name no grader of their own."""
        if grader is not None:
            describe(grader)
        log = self._run_logs.open(run_log_id)
        rules = LogGrader(
            questions=tuple(self._questions(benchmark)),
            spec=GraderSpec(name=grader) if grader else None,
            signatures=False,
        )
        found, refused = read_answers(chunks, log.reader, log.codes, rules, datetime.now(UTC))
        self._suggestions.keep(run_log_id, found)
        grades = Counter(each.grade for each in found)
        return SuggestionImport(grades={grade: grades[grade] for grade in SUGGESTION_GRADES}, rejected_lines=refused)

    def kept(self, run_log_id: str, question_ids: Sequence[str] | None) -> Iterator[bytes]:
        """JSONL of TeacherSuggestion, by question."""
        self._run_logs.read(run_log_id)
        found = self._suggestions.of(run_log_id, question_ids)
        every = (each for given in found.values() for each in given)
        return iter(lambda: to_jsonl(islice(every, ITEMS_AT_ONCE)), b"")

    def teachers(self, run_log_id: str) -> list[SuggestionTeacher]:
        self._run_logs.read(run_log_id)
        return self._suggestions.teachers(run_log_id)

    def remove(self, run_log_id: str, model: str, host: str | None) -> SuggestionRemoval:
        """NotFoundError names the teachers that there are. What a dataset has taken stays in it."""
        self._run_logs.read(run_log_id)
        done = self._suggestions.remove(run_log_id, model, host)
        if not done.removed:
            teachers = ", ".join(f"{each.model} at {each.host}" for each in self._suggestions.teachers(run_log_id))
            asked = model if host is None else f"{model} at {host}"
            raise NotFoundError(f"no suggestion of {asked!r} in this review: there are those of {teachers or 'nobody'}")
        return done

    def _questions(self, benchmark: str | None) -> list[BenchmarkQuestion]:
        if benchmark is None:
            return []
        name, slash, version = benchmark.partition("/")
        if not (name and slash and version):
            raise InvalidInputError(f"benchmark {benchmark!r}: give name/version", field="benchmark")
        return self._benchmarks.questions(name, version)
