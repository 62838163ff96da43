"""Anchor examples: prompts the model already passes, mixed in so that behaviour stays put."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.lookalikes import Asked, Like, fold
from burnish.curation.gates.screen import Screen
from burnish.curation.gates.texts import TextGate
from burnish.curation.splitting import hash_rank
from burnish.curation.targets import NOT_PLAIN, always_passing, is_answered
from burnish.diagnosis.clusters import NO_SLICE, RunCodes
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Message, spoken_key

BENCHMARK_ONLY = "anchor: benchmark_only"
GUARDED = "anchor: a targeted or guarded question has the same prompt"
DUPLICATE = "anchor: another anchor has the same prompt"
EMPTY = "anchor: the passing answer is empty"
ANSWERED = "anchor: messages end with the model's own turn"
CUT_OFF = "anchor: the answer was cut off at its token limit"
NEAR = "anchor: a targeted question asks nearly the same"
NEAR_DUPLICATE = "anchor: another anchor asks nearly the same and has the same answer"
OTHER_MODEL = "anchor: only another model's answers pass"


@dataclass(frozen=True)
class Anchor:
    """is_cut_off: the line's `finish_reason` is "length": training on it would teach the model to stop in mid-sentence."""

    question_id: str
    prompt: list[Message]
    answer: str
    is_cut_off: bool
    is_plain: bool = True
    question: str = ""

    @property
    def asked(self) -> Asked:
        return Asked.of(self.question, self.prompt)


@dataclass(frozen=True)
class AnchorRules:
    """wanted: how many. pool_share: share of the passing questions they may come from.

    targeted: spoken_key of targeted questions. guarded: spoken_key -> ids of the benchmark questions that have it; an
    anchor may carry its own benchmark question's prompt, never another's. benchmark_only: ids never to be trained on.
    model: whose answers may be anchors; None: anybody's. slice_of: question id -> slice. rest: slice -> questions that
    decide whether the rest holds: anchors are spread as these are.
    """

    wanted: int
    pool_share: float
    seed: int
    targeted: frozenset[str]
    guarded: Mapping[str, set[str]]
    benchmark_only: frozenset[str]
    model: str | None = None
    slice_of: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, int] = field(default_factory=dict)
    drops_contaminated: bool = True
    drops_near_duplicates: bool = True
    drops_suspected: bool = False


def choose_anchors(
    log: RunLogReader, codes: RunCodes, rules: AnchorRules, screen: Screen, texts: TextGate, ledger: Ledger
) -> list[Anchor]:
    """Up to `wanted` anchors from questions that never fail, spread over slices as the rest questions are, in seeded hash order.

    Each is the question's first passing line: its prompt, and the model's own answer to it. The ledger gets the candidates that
    were passed over; fewer than wanted means that the pool ran out.
    """
    chosen: list[Anchor] = []
    gate = _Gate(rules, screen, texts)
    own = always_passing(codes, rules.model)
    ledger.count(OTHER_MODEL, len(always_passing(codes)) - len(own))
    order = _in_turn(_pool(own.tolist(), codes, rules), codes, rules)
    while order and len(chosen) < rules.wanted:
        batch, order = order[: rules.wanted - len(chosen)], order[rules.wanted - len(chosen) :]
        found = dict(zip(sorted(batch), _read(log, batch), strict=True))
        for row in batch:
            anchor = found[row]
            refused = gate.refusal(anchor)
            if refused:
                ledger.leave_out(refused[0], [anchor.question_id], refused[1])
            else:
                chosen.append(anchor)
    return chosen


def _pool(rows: list[int], codes: RunCodes, rules: AnchorRules) -> list[tuple[float, int]]:
    """(hash rank, row) of the passing questions that the pool share lets in: which ones, another hash says."""
    ids = [codes.questions[codes.question_R[row]] for row in rows]
    admitted = sorted(zip(ids, rows, strict=True), key=lambda pair: hash_rank(rules.seed, "anchor_pool", pair[0]))
    within = admitted[: round(rules.pool_share * len(rows))]
    return [(hash_rank(rules.seed, "anchor", question_id), row) for question_id, row in within]


def _in_turn(pool: list[tuple[float, int]], codes: RunCodes, rules: AnchorRules) -> list[int]:
    """Rows, each slice in hash order and as often as its share of the rest questions; slices without any come last."""
    by_slice: dict[str, list[int]] = defaultdict(list)
    for _, row in sorted(pool):
        by_slice[rules.slice_of.get(codes.questions[codes.question_R[row]], NO_SLICE)].append(row)
    turns = [
        ((turn + 0.5) / weight if (weight := rules.rest.get(name, 0)) else inf, turn, name, row)
        for name, rows in by_slice.items()
        for turn, row in enumerate(rows)
    ]
    return [row for *_, row in sorted(turns)]


def _read(log: RunLogReader, rows: list[int]) -> Iterator[Anchor]:
    for line in log.lines(rows):
        cut_off = line.finish_reason == "length"
        yield Anchor(line.question_id, prompt_messages(line), line.answer, cut_off, is_plain(line), line.question)


class _Gate:
    """What an anchor must pass, beside those that passed before it."""

    def __init__(self, rules: AnchorRules, screen: Screen, texts: TextGate) -> None:
        self._rules = rules
        self._screen = screen
        self._texts = texts
        self._taken: dict[str, str] = {}
        self._others = screen.index()
        self._answers: dict[str, str] = {}

    def refusal(self, anchor: Anchor) -> tuple[str, Like | str | None] | None:
        """(why, the question that it is like); None if the anchor passes, which is then remembered."""
        rules, key = self._rules, spoken_key(anchor.prompt)
        guarded = rules.guarded.get(key, set()) - {anchor.question_id}
        if anchor.question_id in rules.benchmark_only:
            return BENCHMARK_ONLY, None
        if key in rules.targeted or guarded:
            return GUARDED, min(guarded, default=None)
        if key in self._taken:
            return DUPLICATE, self._taken[key]
        if not anchor.answer.strip():
            return EMPTY, None
        if not anchor.is_plain:
            return f"anchor: {NOT_PLAIN}", None
        if is_answered(anchor.prompt):
            return ANSWERED, None
        if anchor.is_cut_off:
            return CUT_OFF, None
        unfit = self._texts.refusal([*(message.content for message in anchor.prompt), anchor.answer])
        if unfit:
            return f"anchor: {unfit}", None
        near = self._near(anchor)
        if near is None:
            self._taken[key] = anchor.question_id
            self._answers[anchor.question_id] = fold(anchor.answer)
        return near

    def _near(self, anchor: Anchor) -> tuple[str, Like] | None:
        asked = anchor.asked
        if self._rules.drops_contaminated:
            found = self._screen.contamination([anchor.question_id], asked, frozenset())
            if found:
                return f"anchor: {found.reason}", found.like
        if self._rules.drops_suspected:
            found = self._screen.suspicion([anchor.question_id], asked, frozenset())
            if found:
                return f"anchor: {found.reason}", found.like
        if not self._rules.drops_near_duplicates:
            return None
        like = self._screen.targeted(asked)
        if like:
            return NEAR, like
        for other in self._others.add(anchor.question_id, asked):
            if self._answers.get(other.key) == fold(anchor.answer):
                return NEAR_DUPLICATE, other
        return None
