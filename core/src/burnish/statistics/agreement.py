"""How far reviewers agree beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for nominal values: 1 is full agreement, 0 what chance gives, below 0 is worse.

    units: the values that were given to each thing, by any number of people; one with fewer than two says nothing.
    None if there is no such unit, or if only one value was ever given: agreement beyond chance cannot be told then.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
    """
    counted = [Counter(values) for values in units if len(values) > 1]
    totals = sum(counted, Counter[str]())
    pairable = totals.total()
    if len(totals) < 2:
        return None
    differing = sum((unit.total() ** 2 - sum(n * n for n in unit.values())) / (unit.total() - 1) for unit in counted)
    by_chance = (pairable**2 - sum(n * n for n in totals.values())) / (pairable - 1)
    return 1.0 - differing / by_chance
