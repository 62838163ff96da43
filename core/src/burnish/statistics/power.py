"""How many questions a claim needs."""

from __future__ import annotations

import numpy as np

from burnish.extras import Late

stats = Late("scipy.stats")

MOST_QUESTIONS = 20_000
SMOOTHING = (
    0.5  # added to each of fixed, regressed and unchanged (Jeffreys), so that a count of 0 is not taken for impossible
)


def mcnemar_power(n: int, gain_rate: float, loss_rate: float, alpha: float = 0.05) -> float:
    """Probability that the one-sided exact McNemar test over n questions says the candidate is better.

    gain_rate, loss_rate: true shares of questions fixed and regressed. Exact: the discordant count is Binomial(n, gain +
    loss), and given it the gains are Binomial(·, gain / (gain + loss)); the critical number of gains is the test's own.
    Source: Duffy 1984, Biometrics 40:1005–1015 (unconditional power of the conditional test).
    """
    if min(gain_rate, loss_rate) < 0 or gain_rate + loss_rate > 1:
        raise ValueError(f"gain rate {gain_rate} and loss rate {loss_rate} are not shares of one whole")
    discordant_rate = gain_rate + loss_rate
    if n == 0 or discordant_rate == 0:
        return 0.0
    discordant = np.arange(n + 1)
    critical = stats.binom.isf(alpha, discordant, 0.5) + 1  # smallest gains with P(X >= gains) <= alpha
    rejects = stats.binom.sf(critical - 1, discordant, gain_rate / discordant_rate)
    return float(np.sum(stats.binom.pmf(discordant, n, discordant_rate) * rejects))


def required_questions(gain_rate: float, loss_rate: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Smallest n from which `mcnemar_power` is at least `power`; None if gain_rate is not above loss_rate, or beyond 20,000.

    Power saws with n; the n found is a crossing, by doubling and bisection, and off by a few questions at most.
    """
    if gain_rate <= loss_rate:
        return None
    low, high = 0, 8
    while mcnemar_power(high, gain_rate, loss_rate, alpha) < power:
        low, high = high, 2 * high
        if low >= MOST_QUESTIONS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if mcnemar_power(middle, gain_rate, loss_rate, alpha) >= power:
            high = middle
        else:
            low = middle
    return high


def detectable_difference(n: int, discordance: float = 0.0, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest true improvement that the one-sided exact McNemar test over n questions shows with `power`, to 0.001.

    discordance: share of questions that gain and lose evenly beside the improvement (noise; 0: every change is a gain).
    None if even the largest, 1 − discordance, is not shown.
    """
    if not 0 <= discordance < 1:
        raise ValueError(f"discordance {discordance} is not in [0, 1)")

    def shown(delta: float) -> float:
        return mcnemar_power(n, discordance / 2 + delta, discordance / 2, alpha)

    low, high = 0.0, 1 - discordance
    if shown(high) < power:
        return None
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if shown(middle) >= power else (middle, high)
    return high


def needs_questions(fixed: int, regressed: int, n: int, least_improvement: float, alpha: float = 0.05) -> int | None:
    """How many questions beyond n would settle whether the candidate improves by `least_improvement`, at 80 % power.

    Takes the observed rates, smoothed, as true; if they show less than `least_improvement`, the same discordance with
    an improvement of exactly that is taken, the least that is worth finding. At least 1; None beyond 20,000.
    """
    total = n + 3 * SMOOTHING
    gain_rate, loss_rate = (fixed + SMOOTHING) / total, (regressed + SMOOTHING) / total
    if gain_rate - loss_rate < least_improvement:
        discordant_rate = min(1.0, max(gain_rate + loss_rate, least_improvement))
        gain_rate = (discordant_rate + least_improvement) / 2
        loss_rate = discordant_rate - gain_rate
    required = required_questions(gain_rate, loss_rate, alpha)
    return None if required is None else max(1, required - n)
