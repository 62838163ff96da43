"""Anchor examples: prompts the model already passes, mixed in so that behaviour stays put."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from burnish.curation.splitting import hash_rank
from burnish.curation.targets import always_passing, is_answered
from burnish.diagnosis.clusters import RunCodes
from burnish.runlogs.prompts import prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Message, message_key

BENCHMARK_ONLY = "anchor: benchmark_only"
GUARDED = "anchor: a targeted or guarded question has the same prompt"
DUPLICATE = "anchor: another anchor has the same prompt"
EMPTY = "anchor: the passing answer is empty"
ANSWERED = "anchor: messages end with the model's own turn"
CUT_OFF = "anchor: the answer was cut off at its token limit"


@dataclass(frozen=True)
class Anchor:
    """is_cut_off: the line's `finish_reason` is "length": training on it would teach the model to stop in mid-sentence."""

    question_id: str
    prompt: list[Message]
    answer: str
    is_cut_off: bool


@dataclass(frozen=True)
class AnchorRules:
    """wanted: how many. pool_share: share of the passing questions they may come from.

    targeted: prompt keys of targeted questions. guarded: prompt key -> ids of the benchmark questions that have it; an
    anchor may carry its own benchmark question's prompt, never another's. benchmark_only: ids never to be trained on.
    """

    wanted: int
    pool_share: float
    seed: int
    targeted: frozenset[str]
    guarded: Mapping[str, set[str]]
    benchmark_only: frozenset[str]


def choose_anchors(log: RunLogReader, codes: RunCodes, rules: AnchorRules) -> tuple[list[Anchor], Counter[str]]:
    """Up to `wanted` anchors from questions that pass in every run, spread evenly over slices, in seeded hash order.

    Each is the question's first line: its prompt, and the model's own answer to it. Also returns how many candidates
    were passed over, by reason; fewer than wanted means that the pool ran out.
    """
    chosen: list[Anchor] = []
    discarded: Counter[str] = Counter()
    taken: set[str] = set()
    order = _in_turn(_pool(codes, rules), codes)
    while order and len(chosen) < rules.wanted:
        batch, order = order[: rules.wanted - len(chosen)], order[rules.wanted - len(chosen) :]
        found = dict(zip(sorted(batch), _read(log, batch), strict=True))
        for row in batch:
            anchor = found[row]
            key = message_key(anchor.prompt)
            reason = _refusal(anchor, key, taken, rules)
            if reason:
                discarded[reason] += 1
            else:
                taken.add(key)
                chosen.append(anchor)
    return chosen, discarded


def _pool(codes: RunCodes, rules: AnchorRules) -> list[tuple[float, int]]:
    """(hash rank, first row) of the passing questions that the pool share lets in: which ones, another hash says."""
    rows = always_passing(codes).tolist()
    ids = [codes.questions[codes.question_R[row]] for row in rows]
    admitted = sorted(zip(ids, rows, strict=True), key=lambda pair: hash_rank(rules.seed, "anchor_pool", pair[0]))
    within = admitted[: round(rules.pool_share * len(rows))]
    return [(hash_rank(rules.seed, "anchor", question_id), row) for question_id, row in within]


def _in_turn(pool: list[tuple[float, int]], codes: RunCodes) -> list[int]:
    """Rows, one from each slice in turn, each slice in hash order."""
    by_slice: dict[int, list[int]] = defaultdict(list)
    for _, row in sorted(pool):
        by_slice[int(codes.slice_R[row])].append(row)
    names = sorted(by_slice, key=lambda code: codes.slices[code] if code >= 0 else "")
    turns = [(turn, place, row) for place, name in enumerate(names) for turn, row in enumerate(by_slice[name])]
    return [row for _, _, row in sorted(turns)]


def _read(log: RunLogReader, rows: list[int]) -> Iterator[Anchor]:
    for line in log.lines(rows):
        cut_off = (line.model_extra or {}).get("finish_reason") == "length"
        yield Anchor(line.question_id, prompt_messages(line), line.answer, cut_off)


def _refusal(anchor: Anchor, key: str, taken: set[str], rules: AnchorRules) -> str | None:
    if anchor.question_id in rules.benchmark_only:
        return BENCHMARK_ONLY
    if key in rules.targeted or rules.guarded.get(key, set()) - {anchor.question_id}:
        return GUARDED
    if key in taken:
        return DUPLICATE
    if not anchor.answer.strip():
        return EMPTY
    if is_answered(anchor.prompt):
        return ANSWERED
    if anchor.is_cut_off:
        return CUT_OFF
    return None
