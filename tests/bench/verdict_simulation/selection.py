"""The null that people have: targets chosen because the base failed them, and a candidate that is no better than the base.

One benchmark is asked, some of what the base failed is targeted, a share of that is held out, the rest is trained on together with
replay rows, and a candidate of exactly the base's ability answers a share of all questions anew. Whatever "improved" or
"ship" says of it is false. `learns` candidates answer likewise, and pass what they were trained for: the power that is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from bench.verdict_simulation.cells import CLUSTER_SIZE, INTRA_CLUSTER_CORRELATION
from bench.verdict_simulation.draws import FLAKY_DISAGREEMENT, Booleans, Floats
from numpy.typing import NDArray

from burnish.verdict import Pair, Pairing, PairsByRole, Thresholds, find_claims, find_improvement, outcomes
from burnish.verdict.decision import TABLE

Kind = Literal["plain", "noise", "slices", "documents"]

QUESTIONS = 300
BASES = (0.10, 0.30, 0.50, 0.70, 0.90, 0.95)
REDRAWN = (0.05, 0.10, 0.20, 0.50, 1.00)
KINDS: tuple[Kind, ...] = ("plain", "noise", "slices", "documents")
LEARNS = (0.6, 0.9)
LEARNER_BASES = (0.30, 0.50, 0.90)
HELD_OUT, REPLAY_PER_CORRECTION, MOST_REPLAYED = 0.3, 0.5, 0.5
SLICES, SLICE_SPREAD = 6, 0.2
NOISE = 0.10
LIMITS = Thresholds()


@dataclass(frozen=True, order=True)
class Null:
    """base: its mean pass rate. redrawn: share of questions that the candidate answers anew, at the base's ability.

    kind: plain, every question as hard as the others and all failures targeted; noise, a share of questions is flaky, so that two answers
    differ on NOISE of them, and the base is asked twice; slices, SLICES of them SLICE_SPREAD harder or easier, and only the failures
    of the one that looks worst are targeted; documents, of CLUSTER_SIZE questions that are passed and redrawn together.
    learned: share of the target's questions that the candidate passes beside; 0: no better than the base.
    """

    kind: Kind
    base: float
    redrawn: float
    learned: float = 0.0


@dataclass(frozen=True)
class Found:
    """Shares of the draws. without: "improved" if selection were not looked at."""

    null: Null
    draws: int
    improved: float
    shipped: float
    without: float


def all_nulls() -> list[Null]:
    return [Null(*values) for values in product(KINDS, BASES, REDRAWN)]


def all_learners() -> list[Null]:
    """With one in twenty answers changed for nothing, as a trained adapter does."""
    return [Null(kind, base, 0.05, learned) for kind, base, learned in product(KINDS, LEARNER_BASES, LEARNS)]


def score_null(null: Null, draws: int, seed: int) -> Found:
    """The same arguments give the same shares."""
    random = np.random.default_rng([seed, KINDS.index(null.kind), *_thousandths(null)])
    improved = shipped = without = 0
    for _ in range(draws):
        roles = PairsByRole(Pairing(draw_pairs(null, random), []))
        improvement, harm, _ = find_claims(roles, LIMITS, details=False)
        improved += improvement.answer == "yes"
        shipped += TABLE[improvement.answer, harm.answer] == "ship"
        without += find_improvement(outcomes(roles.targeted), LIMITS, details=False).answer == "yes"
    return Found(null, draws, improved / draws, shipped / draws, without / draws)


def draw_pairs(null: Null, random: np.random.Generator) -> list[Pair]:
    """One experiment: every question of the benchmark, with the role that its dataset gave it."""
    numbers = np.arange(QUESTIONS)
    slices = numbers % SLICES if null.kind == "slices" else np.zeros(QUESTIONS, dtype=int)
    ability = _abilities(null, slices)
    documents = numbers // CLUSTER_SIZE if null.kind == "documents" else numbers
    flaky = _together(documents, random) < (NOISE / FLAKY_DISAGREEMENT if null.kind == "noise" else 0.0)
    passes_flaky = random.beta(ability + 0.5, 1.5 - ability)
    samples = 2 if null.kind == "noise" else 1
    settled = _together(documents, random) < ability
    anew = _together(documents, random) < null.redrawn
    again = np.where(anew, _together(documents, random) < ability, settled)
    base = _ask(settled, flaky, passes_flaky, samples, random)
    failed = ~base[:, 0]
    targeted = failed
    if null.kind == "slices":
        worst = np.bincount(slices, weights=failed, minlength=SLICES).argmax()
        targeted = failed & (slices == worst)
    again = again | (targeted & (random.random(QUESTIONS) < null.learned))
    candidate = _ask(again, flaky, passes_flaky, 1, random)[:, 0]
    trained = _choose(targeted, round((1 - HELD_OUT) * int(targeted.sum())), random)
    replay = min(round(REPLAY_PER_CORRECTION * int(trained.sum())), int(MOST_REPLAYED * int((~failed).sum())))
    trained |= _choose(~failed, replay, random)
    return [
        Pair(
            question_id=str(i),
            slice=str(slices[i]),
            targeted=bool(targeted[i]),
            held_out=not trained[i],
            base=tuple(map(bool, base[i])),
            candidate=(bool(candidate[i]),),
            base_passed=bool(base[i, 0]),
            candidate_passed=bool(candidate[i]),
            base_answer=None,
            candidate_answer=None,
            group=str(documents[i]) if null.kind == "documents" else None,
        )
        for i in numbers
    ]


def _abilities(null: Null, slices: NDArray[np.int64]) -> Floats:
    """(QUESTIONS,) probability that an answer passes, of the base and of an answer made anew."""
    if null.kind != "slices":
        return np.full(QUESTIONS, null.base)
    spread = min(SLICE_SPREAD, null.base, 1 - null.base)
    return np.asarray(null.base + spread * np.linspace(-1, 1, SLICES)[slices])


def _together(documents: NDArray[np.int64], random: np.random.Generator) -> Floats:
    """(QUESTIONS,) uniform numbers; two questions of one document share theirs with probability INTRA_CLUSTER_CORRELATION."""
    shared = random.random(QUESTIONS) < np.sqrt(INTRA_CLUSTER_CORRELATION)
    return np.asarray(np.where(shared, random.random(QUESTIONS)[documents], random.random(QUESTIONS)))


def _ask(
    settled: Booleans, flaky: Booleans, passes_flaky: Floats, samples: int, random: np.random.Generator
) -> Booleans:
    """(QUESTIONS, samples)"""
    by_chance = random.random((QUESTIONS, samples)) < passes_flaky[:, None]
    return np.asarray(np.where(flaky[:, None], by_chance, settled[:, None]))


def _choose(among: Booleans, count: int, random: np.random.Generator) -> Booleans:
    """`count` of them, at random."""
    chosen = np.zeros(QUESTIONS, dtype=bool)
    chosen[random.permutation(np.flatnonzero(among))[:count]] = True
    return chosen


def _thousandths(null: Null) -> list[int]:
    return [round(1000 * share) for share in (null.base, null.redrawn, null.learned)]
