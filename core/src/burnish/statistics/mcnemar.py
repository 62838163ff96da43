"""McNemar's test in its exact, conditional form."""

from __future__ import annotations

from typing import Literal

from burnish.extras import Late

stats = Late("scipy.stats")


Alternative = Literal["two-sided", "greater", "less"]


def mcnemar_exact(fixed: int, regressed: int, alternative: Alternative = "two-sided") -> float:
    """p-value that gains and losses are equally likely, given how many there are: fixed ~ Binomial(fixed + regressed, 1/2).

    `greater`: the candidate is better; `less`: it is worse; `two-sided`: twice the smaller tail, at most 1. No discordant
    pair: 1. Conservative (no mid-p): the true size is at most the nominal one, however small n is.
    Source: McNemar 1947; exact form: Fagerland, Lydersen & Laake 2013, BMC Med Res Methodol 13:91, section "exact conditional".
    """
    _check_counts(fixed, regressed)
    discordant = fixed + regressed
    if discordant == 0:
        return 1.0
    if alternative == "greater":
        return float(stats.binom.sf(fixed - 1, discordant, 0.5))
    if alternative == "less":
        return float(stats.binom.cdf(fixed, discordant, 0.5))
    return min(1.0, 2.0 * float(stats.binom.cdf(min(fixed, regressed), discordant, 0.5)))


def _check_counts(fixed: int, regressed: int) -> None:
    if fixed < 0 or regressed < 0:
        raise ValueError(f"counts cannot be negative: fixed {fixed}, regressed {regressed}")
