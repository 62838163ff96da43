"""Reviews as files, their removal, and the overview of every run log. One item at a time is `deciding`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from burnish.curation.jsonl import rejected
from burnish.curation.review.items import (
    Prefill,
    choose_labels,
    first_failures,
    known_failures,
    of_no_failure,
    review_items,
)
from burnish.curation.review.reading import read_review
from burnish.diagnosis import UNLABELLED
from burnish.errors import BurnishError, PreconditionError
from burnish.jsonl import to_jsonl
from burnish.ports import ObjectStore
from burnish.registry.holding import Thing
from burnish.registry.removal import check_free
from burnish.schemas.base import BrokenObject
from burnish.schemas.review import CORRECTIONS, PREFERENCES, SET_ASIDE, ReviewState
from burnish.schemas.runlog import Diagnosis, FailureCluster, ReviewImport, RunLogManifest
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.reviews.comparing import AnswerBook
from burnish_curator.reviews.deciding import as_decided
from burnish_curator.reviews.opinions import conflict
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.runlogs.repository import RunLogRepository

ITEMS_AT_ONCE = 500
PAGE_RUN_LOGS = 10
Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """How many of the questions are decided."""

    decided: int
    total: int


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
        suggestions: SuggestionRepository,
        metrics: CuratorMetrics,
    ) -> None:
        self._store = store
        self._run_logs = run_logs
        self._corrections = corrections
        self._suggestions = suggestions
        self._metrics = metrics
        self._to_review: dict[
            tuple[str, str | None], tuple[list[FailureCluster], int]
        ] = {}  # by run log and clustering

    def export(
        self,
        run_log_id: str,
        labels: Sequence[str],
        slices: Sequence[str] = (),
        prefill: Prefill | None = None,
        states: Sequence[ReviewState] = (),
    ) -> Iterator[bytes]:
        """The review file of these labels (none given: of all candidate clusters), slices and states (none given: all), in blocks."""
        log = self._run_logs.open(run_log_id)
        chosen = choose_labels(log.diagnosis_of(slices) if slices else log.diagnosis, labels)
        if not chosen:
            raise PreconditionError(
                f"run log {run_log_id} has no candidate cluster: `burnish diagnose {run_log_id}` says why; name labels to review them anyway",
                run_log_id=run_log_id,
            )
        standing = self._corrections.standing(run_log_id)
        answers = AnswerBook(log, self._corrections, self._suggestions).of_rows
        suggestions = self._suggestions.of(run_log_id)
        items = review_items(log.reader, log.codes, chosen, standing, slices, prefill, states, suggestions, answers)
        return iter(lambda: to_jsonl(islice(items, ITEMS_AT_ONCE)), b"")

    def import_review(self, run_log_id: str, chunks: Iterator[bytes], author: str = "") -> ReviewImport:
        """Keep every good decision and name each refused line; also those about which another person decided since the export."""
        log = self._run_logs.open(run_log_id)
        known = known_failures(log.reader, log.codes)
        answers = AnswerBook(log, self._corrections, self._suggestions)
        reviewed = read_review(chunks, known, partial(answers.of_decisions, known))
        elsewhere = of_no_failure(log.reader, log.codes, reviewed.decisions)
        decisions = [decision for decision in reviewed.decisions if decision.question_id not in elsewhere]
        decided = [as_decided(decision) for decision in decisions]
        recorded = self._corrections.record(run_log_id, decided, author, own_conflicts=False)
        late = {each.question_id: standing for each, standing in recorded.conflicts}
        reasons = elsewhere | {question_id: conflict(standing).message for question_id, standing in late.items()}
        refused = [
            rejected(reviewed.line_of[each.question_id], each.output.encode(), reasons[each.question_id])
            for each in reviewed.decisions
            if each.question_id in reasons
        ]
        kept = [decision for decision in decisions if decision.question_id not in late]
        done = ReviewImport(
            accepted=sum(decision.state in CORRECTIONS for decision in kept),
            changed=recorded.replaced,
            empty=reviewed.empty,
            removed=recorded.removed,
            preferred=sum(decision.state in PREFERENCES for decision in kept),
            set_aside=sum(decision.state in SET_ASIDE for decision in kept),
            rejected_lines=sorted([*reviewed.rejected_lines, *refused], key=lambda line: line.line_number),
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
        """Of how many of these questions something was decided."""
        return len(self._corrections.standing(run_log_id, questions))

    def count_suggestions(self, run_log_id: str, questions: Collection[str]) -> int:
        return sum(map(len, self._suggestions.of(run_log_id, questions, withdrawn=True).values()))

    def erase(self, run_log_id: str, questions: Sequence[str]) -> tuple[int, int]:
        """Remove everything that was written about these questions; of how many something was decided, and how many suggestions."""
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
        decided = self._corrections.counts()
        return Overview(
            [self._queue(run_log, decided.get(run_log.id, 0)) for run_log in shown], page, pages, run_logs.broken
        )

    def _queue(self, run_log: RunLogManifest, decided: int) -> Queue:
        try:
            standing = self._run_logs.clustering(run_log.id)
            key = (run_log.id, standing.version if standing else None)
            if key not in self._to_review:
                log = self._run_logs.open(run_log.id)
                clusters = [cluster.model_copy(update={"examples": []}) for cluster in _labelled(log.diagnosis)]
                questions = first_failures(log.codes, [cluster.label for cluster in clusters])
                self._to_review[key] = clusters, len(questions)
        except BurnishError as error:
            return Queue(run_log, [], Progress(0, 0), error.message)
        clusters, total = self._to_review[key]
        return Queue(run_log, clusters, Progress(decided, total))


def _labelled(diagnosis: Diagnosis) -> list[FailureCluster]:
    return [cluster for cluster in diagnosis.clusters if cluster.label != UNLABELLED]


def _page_of(items: Sequence[Item], page: int, size: int) -> tuple[int, int, Sequence[Item]]:
    """How many pages there are, the page nearest to the wanted one, and its items."""
    pages = max(1, -(-len(items) // size))
    page = min(max(page, 1), pages)
    return pages, page, items[(page - 1) * size : page * size]
