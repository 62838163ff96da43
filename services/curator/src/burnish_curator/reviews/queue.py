"""The questions of a run log in the order of review, in memory, and where each one stands.

A run log never changes, so an order is computed once. The states are brought up to date by what changed in the database
since the last look. What is asked here costs the same for a thousand questions and for a million.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from burnish.curation.review.items import choose_labels
from burnish.curation.review.queue import queue_rows
from burnish.diagnosis import UNLABELLED
from burnish.schemas.review import STATES, ReviewState
from burnish.schemas.runlog import FailureCluster
from burnish_curator.reviews.history import ReviewHistory
from burnish_curator.runlogs.repository import OPEN_LOGS, OpenRunLog

VIEWS = 8
_NUMBER: dict[str, int] = {state: number for number, state in enumerate(STATES)}


@dataclass(frozen=True)
class View:
    """What some labels and slices leave of a run log. Axis N: the questions in the order of review.

    clusters: every labelled one of these slices. position_Q: question code -> its place; -1: not in the view.
    """

    clusters: list[FailureCluster]
    row_N: np.ndarray
    question_N: np.ndarray
    position_Q: np.ndarray


class LogQueue:
    """Thread-safe."""

    def __init__(self, log: OpenRunLog) -> None:
        self.log = log
        self._views: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], View] = OrderedDict()
        self._state_Q = np.zeros(len(log.codes.questions), dtype=np.int8)
        self._generation = self._sequence = 0
        self._lock = Lock()

    def view(self, labels: Sequence[str], slices: Sequence[str]) -> View:
        """Of these labels (none: every labelled cluster) and slices (none: all). InvalidInputError for one that there is not."""
        key = tuple(labels), tuple(slices)
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
                return self._views[key]
        view = self._new_view(labels, slices)
        with self._lock:
            self._views[key] = view
            while len(self._views) > VIEWS:
                self._views.popitem(last=False)
        return view

    def _new_view(self, labels: Sequence[str], slices: Sequence[str]) -> View:
        log, codes = self.log, self.log.codes
        diagnosis = log.diagnosis_of(slices) if slices else log.diagnosis
        clusters = [cluster for cluster in diagnosis.clusters if cluster.label != UNLABELLED]
        chosen = choose_labels(diagnosis, labels) if labels else [cluster.label for cluster in clusters]
        row_N = queue_rows(log.reader, codes, chosen, slices)
        question_N = codes.question_R[row_N]
        position_Q = np.full(len(codes.questions), -1, dtype=np.int64)
        position_Q[question_N] = np.arange(len(question_N))
        return View(clusters, row_N, question_N, position_Q)

    def states(self, corrections: ReviewHistory) -> np.ndarray:
        """Question code -> number of its state in STATES, as the database has it now. A copy."""
        with self._lock:
            found = corrections.changes(self.log.id, self._generation, self._sequence)
            if found.generation != self._generation:
                self._state_Q[:] = 0
            code_of = self.log.codes.code_of
            for question_id, state in found.states:
                if question_id in code_of:
                    self._state_Q[code_of[question_id]] = _NUMBER[state]
            self._generation, self._sequence = found.generation, found.sequence
            return self._state_Q.copy()


class LogQueues:
    """The queues of the run logs used last."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, LogQueue] = OrderedDict()
        self._lock = Lock()

    def of(self, log: OpenRunLog) -> LogQueue:
        with self._lock:
            if log.id not in self._queues or self._queues[log.id].log is not log:
                self._queues[log.id] = LogQueue(log)
            self._queues.move_to_end(log.id)
            while len(self._queues) > OPEN_LOGS:
                self._queues.popitem(last=False)
            return self._queues[log.id]


def count_states(view: View, state_Q: np.ndarray) -> dict[ReviewState, int]:
    """How many questions of the view are in each state."""
    counts = np.bincount(state_Q[view.question_N], minlength=len(STATES)).tolist()
    return dict(zip(STATES, counts, strict=True))


def find_next(
    view: View,
    state_Q: np.ndarray,
    states: Collection[str],
    after: int,
    avoid: Collection[int] = (),
    *,
    back: bool = False,
) -> int | None:
    """The nearest position after `after` (back: before it) whose question is in one of the states; around the end. None if there is none.

    avoid: question codes that others have open.
    """
    wanted = np.zeros(len(STATES), dtype=bool)
    wanted[[_NUMBER[state] for state in states]] = True
    inside = wanted[state_Q[view.question_N]]
    places = view.position_Q[list(avoid)]
    inside[places[places >= 0]] = False
    if 0 <= after < len(inside):
        inside[after] = False
    found = np.flatnonzero(inside)
    if not len(found):
        return None
    if back:
        return int(found[np.searchsorted(found, after) - 1])
    return int(found[np.searchsorted(found, after, side="right") % len(found)])
