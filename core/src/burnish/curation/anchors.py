"""Anchor examples: prompts the model already passes, mixed in so that behaviour stays put."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """is_cut_off: the line's `finish_reason` is "length": training on it would teach the model to stop in mid-sentence.

    also: questions of its family that it stands for, since they have the same prompt, or ask nearly the same and have the same answer.
    """

    question_id: str
    prompt: list[Message]
    answer: str
    is_cut_off: bool
    is_plain: bool = True
    question: str = ""
    also: tuple[str, ...] = ()

    @property
    def asked(self) -> Asked:
        return Asked.of(self.question, self.prompt)

    @property
    def question_ids(self) -> tuple[str, ...]:
        return (self.question_id, *self.also)


@dataclass(frozen=True)
class AnchorRules:
    """wanted: how many. pool_share: share of each slice's passing questions that they may come from.

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

    Benchmark questions that ask nearly the same (a family) are taken together or not at all, for one that is asked in an evaluation
    guards against the others. Each anchor is its question's first passing line: its prompt, and the model's own answer to it. The ledger
    gets the candidates that were passed over; fewer than wanted means that the pool ran out.
    """
    chosen: list[Anchor] = []
    gate = _Gate(rules, screen, texts)
    own = always_passing(codes, rules.model)
    ledger.count(OTHER_MODEL, len(always_passing(codes)) - len(own))
    families = _families(own.tolist(), codes, rules, screen)
    order = _in_turn([_pool(of_slice, rules) for of_slice in families.values()], rules)
    while order and len(chosen) < rules.wanted:
        batch, order = order[: rules.wanted - len(chosen)], order[rules.wanted - len(chosen) :]
        rows = [row for family in batch for row in family.rows]
        found = dict(zip(sorted(rows), _read(log, rows), strict=True))
        for family in batch:
            if len(family.rows) <= rules.wanted - len(chosen):
                chosen += gate.admitted([found[row] for row in family.rows], ledger)
    return chosen


@dataclass(frozen=True)
class _Family:
    """Passing questions that are taken together: their rows, and the slice of the first."""

    name: str
    rows: list[int]
    slice: str


def _families(rows: list[int], codes: RunCodes, rules: AnchorRules, screen: Screen) -> dict[str, list[_Family]]:
    """By slice."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        question_id = codes.questions[codes.question_R[row]]
        by_name[screen.family(question_id) if rules.drops_contaminated else question_id].append(row)
    found: dict[str, list[_Family]] = defaultdict(list)
    for name, members in by_name.items():
        slice = rules.slice_of.get(codes.questions[codes.question_R[members[0]]], NO_SLICE)
        found[slice].append(_Family(name, members, slice))
    return found


def _pool(families: Sequence[_Family], rules: AnchorRules) -> list[_Family]:
    """Of one slice those that the pool share lets in, in hash order: which ones, another hash says."""
    left, within = round(rules.pool_share * sum(len(family.rows) for family in families)), []
    for family in sorted(families, key=lambda each: hash_rank(rules.seed, "anchor_pool", each.name)):
        if len(family.rows) <= left:
            left -= len(family.rows)
            within.append(family)
    return sorted(within, key=lambda each: hash_rank(rules.seed, "anchor", each.name))


def _in_turn(pools: Iterable[Sequence[_Family]], rules: AnchorRules) -> list[_Family]:
    """All families, those of each slice in order and as often as its share of the rest questions; slices without any come last."""
    turns: list[tuple[float, int, str, _Family]] = []
    for pool in pools:
        turn = 0
        for family in pool:
            weight = rules.rest.get(family.slice, 0)
            turns.append(((turn + 0.5) / weight if weight else inf, turn, family.slice, family))
            turn += len(family.rows)
    return [family for *_, family in sorted(turns, key=lambda each: each[:3])]


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

    def admitted(self, family: list[Anchor], ledger: Ledger) -> list[Anchor]:
        """Those of a family that pass. One that does not pass stays in the benchmark, and guards against the others: until nothing changes."""
        while True:
            together = frozenset(anchor.question_id for anchor in family)
            refused = {a.question_id: found for a in family if (found := self._refusal(a, together))}
            for question_id, (reason, like) in refused.items():
                ledger.leave_out(reason, [question_id], like)
            if not refused:
                return self._told_apart(family, ledger)
            family = [anchor for anchor in family if anchor.question_id not in refused]

    def _told_apart(self, family: list[Anchor], ledger: Ledger) -> list[Anchor]:
        """One for each that says the same, with the others in `also`; the gate remembers them."""
        kept: dict[str, Anchor] = {}
        for anchor in family:
            key = spoken_key(anchor.prompt)
            found = None if not kept else (DUPLICATE, self._taken[key]) if key in self._taken else self._said(anchor)
            if found:
                reason, like = found
                ledger.leave_out(reason, [anchor.question_id], like)
                first = kept[like.key if isinstance(like, Like) else like]
                kept[first.question_id] = replace(first, also=(*first.also, anchor.question_id))
                continue
            self._taken[key] = anchor.question_id
            self._others.add(anchor.question_id, anchor.asked)
            self._answers[anchor.question_id] = fold(anchor.answer)
            kept[anchor.question_id] = anchor
        return list(kept.values())

    def _refusal(self, anchor: Anchor, together: frozenset[str]) -> tuple[str, Like | str | None] | None:
        """(why, the question that it is like); None if the anchor passes. together: the questions that would be anchors with it."""
        rules, key = self._rules, spoken_key(anchor.prompt)
        guarded = rules.guarded.get(key, set()) - together
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
        return self._near(anchor, together)

    def _near(self, anchor: Anchor, together: frozenset[str]) -> tuple[str, Like] | None:
        asked = anchor.asked
        if self._rules.drops_contaminated:
            found = self._screen.contamination([anchor.question_id], asked, together)
            if found:
                return f"anchor: {found.reason}", found.like
        if self._rules.drops_suspected:
            found = self._screen.suspicion([anchor.question_id], asked, together)
            if found:
                return f"anchor: {found.reason}", found.like
        if not self._rules.drops_near_duplicates:
            return None
        like = self._screen.targeted(asked)
        return (NEAR, like) if like else self._said(anchor)

    def _said(self, anchor: Anchor) -> tuple[str, Like] | None:
        """The anchor so far that asks nearly the same and has the same answer."""
        if not self._rules.drops_near_duplicates:
            return None
        for other in self._others.find(anchor.asked):
            if self._answers.get(other.key) == fold(anchor.answer):
                return NEAR_DUPLICATE, other
        return None
