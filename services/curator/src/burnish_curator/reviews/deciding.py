"""One item at a time: which one comes next, what is decided about it, and what is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np

from burnish.curation.preferences.answers import Answer
from burnish.curation.preferences.checking import with_known_answers
from burnish.curation.review.items import known_failures, of_no_failure, refusal, seen_failures
from burnish.digests import sha256_hex
from burnish.errors import ConflictError, InvalidInputError, NotFoundError
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.review import (
    SET_ASIDE,
    STATES,
    ReviewDecision,
    ReviewEvent,
    ReviewProgress,
    ReviewState,
)
from burnish.schemas.runlog import FailureCluster
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.reviews.cards import Suggestion, read_card, suggestions_of
from burnish_curator.reviews.comparing import AnswerBook, Choices, choices_of
from burnish_curator.reviews.leases import LEASE_SECONDS, Lease, LeaseRepository
from burnish_curator.reviews.opinions import agreement, conflict
from burnish_curator.reviews.queue import LogQueue, LogQueues, View, count_states, find_next
from burnish_curator.reviews.repository import CorrectionRepository, Decided, Recorded
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.runlogs.repository import RunLogRepository

HISTORY_SHOWN = 20
SAMPLES = 5


@dataclass(frozen=True)
class Filters:
    """What part of a review is in view. show: a state, `all`, or `second` (what others decided, for a second opinion)."""

    run_log_id: str
    labels: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    show: str = "open"

    @property
    def states(self) -> Sequence[str]:
        if self.show == "all":
            return STATES
        return [state for state in STATES if state != "open"] if self.show == "second" else [self.show]


@dataclass(frozen=True)
class Item:
    """One question as a reviewer sees it. card: columns of its row. standing: what was decided; lease: another's that has not ended.

    choices: the answers that may be preferred.
    """

    card: dict[str, Any]
    position: int
    suggestions: list[Suggestion]
    choices: Choices
    standing: ReviewEvent | None
    history: list[ReviewEvent]
    lease: Lease | None
    back: str | None
    next: str | None

    @property
    def is_of_another_prompt(self) -> bool:
        """Whether the correction that stands was written for another prompt than the card's."""
        found = self.standing
        return found is not None and bool(found.output) and found.prompt_key not in (None, self.card["prompt_key"])

    @property
    def version(self) -> int:
        return self.standing.sequence if self.standing else 0


@dataclass(frozen=True)
class Pace:
    """How fast it goes. seconds_left: at this pace, for what is open."""

    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class ReviewPage:
    """item: None if nothing in view is left."""

    name: str
    clusters: list[FailureCluster]
    states: dict[ReviewState, int]
    pace: Pace | None
    item: Item | None

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def decided(self) -> int:
        return self.total - self.states["open"]


@dataclass(frozen=True)
class Bulk:
    """What a decision about every open question in view would change. token: proves what was previewed."""

    questions: int
    samples: list[dict[str, Any]]
    token: str


class QueueService:
    def __init__(
        self,
        run_logs: RunLogRepository,
        corrections: CorrectionRepository,
        suggestions: SuggestionRepository,
        leases: LeaseRepository,
        metrics: CuratorMetrics,
    ) -> None:
        self._run_logs = run_logs
        self._corrections = corrections
        self._suggestions = suggestions
        self._leases = leases
        self._metrics = metrics
        self._queues = LogQueues()

    def page(
        self,
        filters: Filters,
        reviewer: str,
        question_id: str | None = None,
        after: str | None = None,
        pair: int | None = None,
    ) -> ReviewPage:
        """The question asked for, else the next one that nobody has open, after the one just left. It is leased to the reviewer.

        pair: number of the two answers to compare; None: those that were compared before, else the first.
        """
        queue, view, state_Q = self._view(filters)
        codes = queue.log.codes
        states = count_states(view, state_Q)
        if question_id is not None:
            place = self._place(queue, view, question_id)
        else:
            start = codes.code_of.get(after or "", -1)
            found = self._next(
                queue, view, state_Q, filters, reviewer, int(view.position_Q[start]) if start >= 0 else -1
            )
            place = -1 if found is None else found
        item = self._item(queue, view, state_Q, filters, reviewer, place, pair) if place >= 0 else None
        name = self._run_logs.read(filters.run_log_id).name
        return ReviewPage(name, view.clusters, states, self._pace(filters.run_log_id, states["open"]), item)

    def decide(self, run_log_id: str, decision: ReviewDecision, *, second: bool = False) -> ReviewEvent:
        """Keep one decision. InvalidInputError says why it is refused, ConflictError who decided otherwise meanwhile."""
        log = self._run_logs.open(run_log_id)
        known = known_failures(log.reader, log.codes, [decision.question_id])
        if decision.failure_label is None:
            label = next((label for _, label in known), "")
            decision = decision.model_copy(update={"failure_label": label})
        if decision.state == "open":
            decision = decision.model_copy(update={"output": "", "reason": ""})
        answers = self.answers(run_log_id, decision) if decision.preference else []
        decision = with_known_answers(decision, answers)
        elsewhere = of_no_failure(log.reader, log.codes, [decision])
        reason = refusal(decision, known, answers) or elsewhere.get(decision.question_id)
        if reason:
            raise InvalidInputError(reason, question_id=decision.question_id)
        lease = self._leases.held(run_log_id).get(decision.question_id)
        ours = lease if lease and lease.holder == decision.author else None
        decided = as_decided(decision.model_copy(update={"seconds": _seconds(decision, ours)}))
        if second:
            self._check_second(run_log_id, decision)
        done = self._corrections.record(run_log_id, [decided], decision.author, second=second, any_conflict=False)
        for _, standing in done.conflicts:
            raise conflict(standing)
        if ours:
            self._leases.release(run_log_id, decision.question_id, decision.author)
        self._metrics.decided(decision.state)
        if done.events:
            return done.events[0]
        standing_now = self._corrections.standing(run_log_id, [decision.question_id]).get(decision.question_id)
        return standing_now or _nothing(decision)

    def undo(self, run_log_id: str, reviewer: str) -> Recorded:
        """Take back this reviewer's newest action. NotFoundError if there is none, ConflictError if others decided all of it since."""
        self._run_logs.read(run_log_id)
        done = self._corrections.undo(run_log_id, reviewer)
        if done is None:
            raise NotFoundError("you have decided nothing here that could be taken back")
        if not done.events and done.conflicts:
            raise conflict(done.conflicts[0][1])
        return done

    def renew(self, run_log_id: str, question_id: str, reviewer: str) -> Lease:
        """The reviewer's lease, longer; or another's that has not ended."""
        self._run_logs.read(run_log_id)
        return self._leases.take(run_log_id, question_id, reviewer)

    def preview(self, filters: Filters) -> Bulk:
        """What a bulk decision about the open questions in view would reach."""
        queue, view, state_Q = self._view(filters)
        places = self._open_places(view, state_Q)
        samples = queue.log.reader.table(
            view.row_N[places[:SAMPLES]], ["question_id", "question", "answer", "failure_label"]
        )
        return Bulk(len(places), samples.to_pylist() if len(places) else [], self._token(queue, view, places))

    def decide_all(self, filters: Filters, state: ReviewState, reason: str, reviewer: str, token: str) -> int:
        """Set every open question in view aside, as one action. ConflictError if they are not those that were previewed."""
        if state not in SET_ASIDE or not reason.strip() or "\x00" in reason:
            raise InvalidInputError(f"many items at once can be {', '.join(SET_ASIDE)}, with a reason", field="state")
        queue, view, state_Q = self._view(filters)
        places = self._open_places(view, state_Q)
        if token != self._token(queue, view, places):
            raise ConflictError("somebody decided about some of these items since the preview: look at it again")
        codes = queue.log.codes
        rows = view.row_N[places]
        decided = [
            Decided(codes.questions[question], codes.labels[label], state, "", reason)
            for question, label in zip(codes.question_R[rows].tolist(), codes.label_R[rows].tolist(), strict=True)
        ]
        done = self._corrections.record(filters.run_log_id, decided, reviewer)
        self._metrics.decided(state, len(done.events))
        return len(done.events)

    def progress(self, filters: Filters) -> ReviewProgress:
        _, view, state_Q = self._view(filters)
        states = count_states(view, state_Q)
        recent = self._corrections.recent_seconds(filters.run_log_id)
        return ReviewProgress(
            total=sum(states.values()),
            states=states,
            effort=self._corrections.effort(filters.run_log_id),
            median_seconds=round(median(recent), 1) if recent else None,
            agreement=agreement(self._corrections.opinions(filters.run_log_id)),
            suggestions=self._suggestions.counts(filters.run_log_id),
        )

    def history(self, run_log_id: str, question_id: str | None, before: int | None, limit: int) -> list[ReviewEvent]:
        self._run_logs.read(run_log_id)
        return self._corrections.history(run_log_id, question_id, before, limit)

    def suggestions(self, filters: Filters, question_id: str) -> list[Suggestion]:
        """What is proposed for a question in view. NotFoundError if it is not there."""
        queue, view, _ = self._view(filters)
        place = self._place(queue, view, question_id)
        standing = self._corrections.standing(filters.run_log_id, [question_id]).get(question_id)
        return self._suggestions_of(filters.run_log_id, self._card(queue, view, filters, place, standing))

    def _card(
        self, queue: LogQueue, view: View, filters: Filters, place: int, standing: ReviewEvent | None
    ) -> dict[str, Any]:
        """The failure that was decided about, if it is in view; else the first one."""
        log, rows = queue.log, view.row_N[[place]]
        card = read_card(log.reader, rows[0])
        if standing is None or standing.prompt_key in (None, card["prompt_key"]):
            return card
        labels = filters.labels or [cluster.label for cluster in view.clusters]
        [row] = seen_failures(log.reader, log.codes, rows, labels, filters.slices, {card["question_id"]: standing})
        return read_card(log.reader, row)

    def _suggestions_of(self, run_log_id: str, card: dict[str, Any]) -> list[Suggestion]:
        taught = self._suggestions.of(run_log_id, [card["question_id"]])
        return suggestions_of(card, taught.get(card["question_id"], ()))

    def rows(self, filters: Filters) -> tuple[RunLogReader, np.ndarray]:
        """The run log, and the row shown for each question in view, in the order of the queue."""
        queue, view, state_Q = self._view(filters)
        wanted = np.isin(state_Q[view.question_N], [STATES.index(state) for state in filters.states])
        return queue.log.reader, view.row_N[wanted]

    def answers(self, run_log_id: str, decision: ReviewDecision) -> list[Answer]:
        """What can be preferred of the failure that a decision is about; empty if the log has no such failure."""
        log = self._run_logs.open(run_log_id)
        known = known_failures(log.reader, log.codes, [decision.question_id])
        [answers] = AnswerBook(log, self._corrections, self._suggestions).of_decisions(known, [decision])
        return answers

    def _view(self, filters: Filters) -> tuple[LogQueue, View, np.ndarray]:
        queue = self._queues.of(self._run_logs.open(filters.run_log_id))
        return queue, queue.view(filters.labels, filters.slices), queue.states(self._corrections)

    def _place(self, queue: LogQueue, view: View, question_id: str) -> int:
        code = queue.log.codes.code_of.get(question_id, -1)
        place = int(view.position_Q[code]) if code >= 0 else -1
        if place < 0:
            raise NotFoundError(f"no question {question_id!r} among the failures in view", question_id=question_id)
        return place

    def _next(
        self, queue: LogQueue, view: View, state_Q: np.ndarray, filters: Filters, reviewer: str, after: int
    ) -> int | None:
        codes = queue.log.codes
        held = self._leases.held(filters.run_log_id)
        avoid = {codes.code_of[q] for q, lease in held.items() if lease.holder != reviewer and q in codes.code_of}
        if filters.show == "second":
            mine = self._corrections.not_for(filters.run_log_id, reviewer)
            avoid |= {codes.code_of[q] for q in mine if q in codes.code_of}
        return find_next(view, state_Q, filters.states, after, avoid)

    def _item(
        self,
        queue: LogQueue,
        view: View,
        state_Q: np.ndarray,
        filters: Filters,
        reviewer: str,
        place: int,
        pair: int | None,
    ) -> Item:
        log = queue.log
        question_id = log.codes.questions[view.question_N[place]]
        standing = self._corrections.standing(filters.run_log_id, [question_id]).get(question_id)
        lease = self._leases.take(filters.run_log_id, question_id, reviewer)
        card = self._card(queue, view, filters, place, standing)
        history = self._corrections.history(filters.run_log_id, question_id, None, HISTORY_SHOWN)
        following = self._next(queue, view, state_Q, filters, reviewer, place)
        back = find_next(view, state_Q, STATES, place, back=True)
        answers = AnswerBook(log, self._corrections, self._suggestions).of_rows([card["row"]])[card["row"]]
        stood = standing.preference if standing else None
        ids = [None if p is None else log.codes.questions[view.question_N[p]] for p in (back, following)]
        return Item(
            card=card,
            position=place + 1,
            suggestions=self._suggestions_of(filters.run_log_id, card),
            choices=choices_of(question_id, answers, stood, pair),
            standing=standing,
            history=history,
            lease=lease if lease.holder != reviewer else None,
            back=ids[0],
            next=ids[1],
        )

    def _pace(self, run_log_id: str, is_open: int) -> Pace | None:
        recent = self._corrections.recent_seconds(run_log_id)
        return Pace(median(recent), median(recent) * is_open) if recent else None

    def _check_second(self, run_log_id: str, decision: ReviewDecision) -> None:
        standing = self._corrections.standing(run_log_id, [decision.question_id]).get(decision.question_id)
        if standing is None or standing.state == "open":
            raise InvalidInputError("nobody has decided about this item yet: a second opinion needs a first one")
        if standing.author == decision.author:
            raise InvalidInputError("you decided about this item yourself: a second opinion is another person's")

    def _open_places(self, view: View, state_Q: np.ndarray) -> np.ndarray:
        return np.flatnonzero(state_Q[view.question_N] == 0)

    def _token(self, queue: LogQueue, view: View, places: np.ndarray) -> str:
        """Stands for the set of questions."""
        return sha256_hex(view.question_N[places].tobytes())[:16]


def as_decided(decision: ReviewDecision) -> Decided:
    return Decided(
        decision.question_id,
        decision.failure_label or "",
        decision.state,
        decision.output,
        decision.reason,
        decision.version,
        decision.seconds,
        decision.prompt_key,
        decision.preference,
    )


def _seconds(decision: ReviewDecision, lease: Lease | None) -> float | None:
    """What the decision took: as it was measured, and no longer than its author had the item leased. None if neither is known."""
    leased = (datetime.now(UTC) - lease.since).total_seconds() if lease else None
    known = [seconds for seconds in (decision.seconds, leased) if seconds is not None]
    return round(min(*known, LEASE_SECONDS), 2) if known else None


def _nothing(decision: ReviewDecision) -> ReviewEvent:
    """What stands if nobody has decided."""
    return ReviewEvent(
        sequence=0,
        question_id=decision.question_id,
        failure_label=decision.failure_label or "",
        state="open",
        output="",
        reason="",
        author="",
        at=datetime.now(UTC),
    )
