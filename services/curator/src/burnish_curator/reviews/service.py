"""Review: what a person sees, and what they corrected."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from burnish.curation.review import (
    Correction,
    Prefill,
    choose_labels,
    first_failures,
    known_failures,
    read_review,
    refusal,
    review_items,
)
from burnish.diagnosis import UNLABELLED
from burnish.errors import BurnishError, InvalidInputError, PreconditionError
from burnish.jsonl import to_jsonl
from burnish.ports import ObjectStore
from burnish.registry.holding import Thing
from burnish.registry.removal import check_free
from burnish.schemas.base import BrokenObject
from burnish.schemas.runlog import Diagnosis, FailureCluster, ReviewImport, ReviewItem, RunLogManifest
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.runlogs.repository import OpenRunLog, RunLogRepository

PAGE_ITEMS = 20
PAGE_RUN_LOGS = 10
Item = TypeVar("Item")
_CARD_COLUMNS = [
    "question_id",
    "slice",
    "question",
    "evidence_text",
    "evidence_files",
    "answer",
    "expected_answer",
    "failure_label",
]


@dataclass(frozen=True)
class Progress:
    """How many of the questions in view have a correction."""

    corrected: int
    total: int


@dataclass(frozen=True)
class ReviewView:
    """One page of cards: the rows' columns with `corrected_output`, which is empty if there is no correction."""

    name: str
    clusters: list[FailureCluster]
    progress: Progress
    cards: list[dict[str, Any]]
    page: int
    pages: int


@dataclass(frozen=True)
class Queue:
    """What a run log has to review: its labelled clusters, and how many questions they have in all. problem: why it cannot be read."""

    run_log: RunLogManifest
    clusters: list[FailureCluster]
    progress: Progress
    problem: str | None = None


@dataclass(frozen=True)
class Overview:
    """One page of run logs, newest first. broken: those that cannot be read at all, on every page."""

    queues: list[Queue]
    page: int
    pages: int
    broken: list[BrokenObject]


class ReviewService:
    def __init__(
        self,
        store: ObjectStore,
        run_logs: RunLogRepository,
        corrections: CorrectionRepository,
        metrics: CuratorMetrics,
    ) -> None:
        self._store = store
        self._run_logs = run_logs
        self._corrections = corrections
        self._metrics = metrics
        self._to_review: dict[
            tuple[str, str | None], tuple[list[FailureCluster], int]
        ] = {}  # by run log and clustering

    def export(
        self, run_log_id: str, labels: Sequence[str], slices: Sequence[str] = (), prefill: Prefill | None = None
    ) -> bytes:
        """The review file of these labels (none given: of all candidate clusters) and slices (none given: all)."""
        log = self._run_logs.open(run_log_id)
        chosen = choose_labels(log.diagnosis_of(slices) if slices else log.diagnosis, labels)
        if not chosen:
            raise PreconditionError(
                f"run log {run_log_id} has no candidate cluster: `burnish diagnose {run_log_id}` says why; name labels to review them anyway",
                run_log_id=run_log_id,
            )
        corrections = self._corrections.current(run_log_id)
        return to_jsonl(review_items(log.reader, log.codes, chosen, corrections, slices, prefill))

    def import_review(self, run_log_id: str, chunks: Iterator[bytes]) -> ReviewImport:
        log = self._run_logs.open(run_log_id)
        reviewed = read_review(chunks, known_failures(log.reader, log.codes))
        changed, removed = self._corrections.save(run_log_id, reviewed.corrections, reviewed.emptied)
        done = ReviewImport(
            accepted=len(reviewed.corrections),
            changed=changed,
            empty=reviewed.empty,
            removed=removed,
            rejected_lines=reviewed.rejected_lines,
        )
        self._metrics.reviewed(done)
        return done

    def remove(self, run_log_id: str) -> int:
        """Remove every correction of a run log, and return how many. HeldError while a dataset was built from them."""
        self._run_logs.read(run_log_id)
        check_free(self._store, Thing("review", run_log_id, run_log_id))
        return self._corrections.remove_all(run_log_id)

    def forget(self, run_log_id: str) -> int:
        """Remove the corrections of a run log that was removed, and return how many."""
        return self._corrections.remove_all(run_log_id)

    def count(self, run_log_id: str, questions: Collection[str]) -> int:
        """How many of these questions have a correction."""
        return len(self._corrections.current(run_log_id).keys() & set(questions))

    def erase(self, run_log_id: str, questions: Sequence[str]) -> int:
        """Remove everything that was written about these questions, and return of how many."""
        removed = self._corrections.erase(run_log_id, questions)
        self.forget_counts(run_log_id)
        return removed

    def forget_counts(self, run_log_id: str) -> None:
        """Its lines were changed."""
        for key in [key for key in self._to_review if key[0] == run_log_id]:
            del self._to_review[key]

    def overview(self, page: int) -> Overview:
        """Every run log with what it has to review. One that cannot be read says why and hides no other."""
        run_logs = self._run_logs.list()
        pages, page, shown = _page_of(run_logs, page, PAGE_RUN_LOGS)
        corrected = self._corrections.counts()
        return Overview(
            [self._queue(run_log, corrected.get(run_log.id, 0)) for run_log in shown], page, pages, run_logs.broken
        )

    def _queue(self, run_log: RunLogManifest, corrected: int) -> Queue:
        try:
            standing = self._run_logs.clustering(run_log.id)
            key = (run_log.id, standing.version if standing else None)
            if key not in self._to_review:
                log = self._run_logs.open(run_log.id)
                clusters = [cluster.model_copy(update={"examples": []}) for cluster in _labelled(log.diagnosis)]
                questions = self._question_of_row(log, [cluster.label for cluster in clusters], ())
                self._to_review[key] = clusters, len(questions)
        except BurnishError as error:
            return Queue(run_log, [], Progress(0, 0), error.message)
        clusters, total = self._to_review[key]
        return Queue(run_log, clusters, Progress(corrected, total))

    def view(
        self, run_log_id: str, labels: Sequence[str], slices: Sequence[str], only_open: bool, page: int
    ) -> ReviewView:
        """A page of the review, by labels (none: every labelled cluster) and slices (none: all).

        only_open: only the questions without a correction.
        """
        log = self._run_logs.open(run_log_id)
        diagnosis = log.diagnosis_of(slices) if slices else log.diagnosis
        clusters = _labelled(diagnosis)
        chosen = choose_labels(diagnosis, labels) if labels else [cluster.label for cluster in clusters]
        corrections = self._corrections.current(run_log_id)
        by_row = self._question_of_row(log, chosen, slices)
        corrected = sum(question_id in corrections for question_id in by_row.values())
        shown = [row for row, question_id in by_row.items() if not (only_open and question_id in corrections)]
        pages, page, rows = _page_of(shown, page, PAGE_ITEMS)
        cards = log.reader.table(rows, _CARD_COLUMNS).to_pylist() if rows else []
        for card in cards:
            correction = corrections.get(card["question_id"])
            card["corrected_output"] = correction.corrected_output if correction else ""
        return ReviewView(
            self._run_logs.read(run_log_id).name, clusters, Progress(corrected, len(by_row)), cards, page, pages
        )

    def correct(self, run_log_id: str, question_id: str, failure_label: str, corrected_output: str) -> bool:
        """Save one correction, or remove it if the text is empty. True: the question now has one. InvalidInputError says why it was refused."""
        log = self._run_logs.open(run_log_id)
        if not corrected_output.strip():
            self._corrections.save(run_log_id, [], [question_id])
            self._metrics.corrected(is_kept=False)
            return False
        item = ReviewItem(
            question_id=question_id,
            question="",
            original_answer="",
            failure_label=failure_label,
            corrected_output=corrected_output,
        )
        reason = refusal(item, known_failures(log.reader, log.codes, [question_id]))
        if reason:
            raise InvalidInputError(reason, question_id=question_id)
        self._corrections.save(run_log_id, [Correction(question_id, failure_label, corrected_output)])
        self._metrics.corrected(is_kept=True)
        return True

    def progress(self, run_log_id: str, labels: Sequence[str], slices: Sequence[str]) -> Progress:
        """Of these labels and slices; none: of all."""
        log = self._run_logs.open(run_log_id)
        questions = self._question_of_row(log, labels or log.codes.labels, slices).values()
        corrections = self._corrections.current(run_log_id)
        return Progress(sum(question_id in corrections for question_id in questions), len(questions))

    def _question_of_row(self, log: OpenRunLog, labels: Sequence[str], slices: Sequence[str]) -> dict[int, str]:
        codes = log.codes
        rows = first_failures(codes, labels, slices).tolist()
        return {row: codes.questions[codes.question_R[row]] for row in rows}


def _labelled(diagnosis: Diagnosis) -> list[FailureCluster]:
    return [cluster for cluster in diagnosis.clusters if cluster.label != UNLABELLED]


def _page_of(items: Sequence[Item], page: int, size: int) -> tuple[int, int, Sequence[Item]]:
    """How many pages there are, the page nearest to the wanted one, and its items."""
    pages = max(1, -(-len(items) // size))
    page = min(max(page, 1), pages)
    return pages, page, items[(page - 1) * size : page * size]
