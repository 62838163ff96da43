"""Grader: a number in the answer is the expected one, within a tolerance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from burnish.grading.reading.number import numbers_in, stated_number
from burnish.grading.registry import Grade, failing, grader, passing, skipping

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@grader
def number(
    answer: str,
    expected: str,
    *,
    tolerance: NonNegative = 0.0,
    relative_tolerance: NonNegative = 0.0,
    pick: Literal["stated", "first", "last", "only"] = "stated",
) -> Grade:
    """The picked number of the answer is within max(tolerance, relative_tolerance × |expected|) of the expected one.

    pick `stated`: the number that the answer states as its result ("12 (3 + 9)", "= 12", "The answer is 12, not 13"; see
    burnish.grading.reading.number); `only`: the answer must hold exactly one number.
    Reads 1,234.5 · -3 · −3 · .5 · 1e-3, digits of any script and of full width; not NaN, infinity, number words, a decimal
    comma (1,5 is 1 and 5) or numbers over 1000 characters. Without any tolerance two numbers are equal if they are the same
    double.
    """
    wanted = numbers_in(expected)
    if len(wanted) != 1:
        return skipping(f"the expected answer {expected[:80]!r} is not one number")
    found = numbers_in(answer)
    if not found:
        return failing("no-number", "the answer holds no number")
    if pick == "only" and len(found) > 1:
        return failing("several-numbers", f"the answer holds {len(found)} numbers, one was asked for")
    got = stated_number(answer) if pick == "stated" else found[0 if pick == "first" else -1]
    if abs(got - wanted[0]) <= max(tolerance, relative_tolerance * abs(wanted[0])):
        return passing()
    return failing("wrong-number", f"expected {wanted[0]:g}, got {got:g}")
