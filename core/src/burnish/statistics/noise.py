"""The noise floor: what a model does to its own results when it is asked again."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.extras import Late

special = Late("scipy.special")


def flip_rate(samples: Sequence[Sequence[bool]]) -> float | None:
    """Share of questions whose samples disagree, over the questions asked at least twice; None if there is none."""
    repeated = [passes for passes in samples if len(passes) >= 2]
    if not repeated:
        return None
    return sum(len(set(passes)) > 1 for passes in repeated) / len(repeated)


def disagreement_rate(samples: Sequence[Sequence[bool]]) -> float | None:
    """How often two samples of one question differ, mean over the questions with at least two; None if there is none.

    Unbiased: of m outcomes with k passes, k (m − k) of the m (m − 1) / 2 pairs differ. This is the discordance that a candidate
    equal to the base has against it, one sample of either.
    """
    rates = [
        2 * sum(passes) * (len(passes) - sum(passes)) / (len(passes) * (len(passes) - 1))
        for passes in samples
        if len(passes) >= 2
    ]
    return sum(rates) / len(rates) if rates else None


def self_loss_rate(samples: Sequence[Sequence[bool]]) -> float | None:
    """How often one more sample of the same model fails a question that all its other samples passed.

    samples: one sequence of outcomes a question. Leave-one-out over those with two or more: a question with exactly one
    failure in m counts 1/m as such a loss, one without failure as none. This is the rate of "regressions" of a
    candidate that is the base itself. None if no question was asked twice or none passes.
    """
    repeated = [passes for passes in samples if len(passes) >= 2]
    losses = sum(1 / len(passes) for passes in repeated if passes.count(False) == 1)
    holds = sum(all(passes) for passes in repeated)
    return losses / (losses + holds) if losses + holds else None


def tail_probability(losses: int, chances: int, rate: float) -> float:
    """P(at least `losses` in `chances`) when each is lost independently at `rate`: Binomial, exact. 1 for losses = 0."""
    if not 0 <= losses <= chances or not 0 <= rate <= 1:
        raise ValueError(f"losses {losses}, chances {chances}, rate {rate} do not fit together")
    return float(special.bdtrc(losses - 1, chances, rate)) if losses else 1.0
