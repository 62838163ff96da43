"""Preference pairs and thumbs: is there a preference at all, and is it about more than length or one side alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.data.tokens import Example
from burnish_trainer.preflight.registry import finding

LONGER_SHARE = 0.9
LONGER_RATIO = 1.5
LEAST_PAIRS = 10
LARGEST_IMBALANCE = 10.0


def check_pairs(records: Sequence[Record]) -> Iterable[Finding]:
    same = [record.question_id for record in records if len(record.answers) == 2 and _is_same(record)]
    if same:
        yield finding(
            "chosen-equals-rejected",
            f"{len(same)} pairs have the same text chosen and rejected (case and white space aside), so they prefer "
            "nothing: remove them",
            same,
        )


def check_pair_lengths(pairs: Sequence[tuple[Example, Example]]) -> Iterable[Finding]:
    """pairs: chosen and rejected of every training row."""
    if len(pairs) < LEAST_PAIRS:
        return
    longer = [chosen.question_id for chosen, rejected in pairs if chosen.trained_tokens > rejected.trained_tokens]
    ratio = median(chosen.trained_tokens / rejected.trained_tokens for chosen, rejected in pairs)
    if len(longer) >= LONGER_SHARE * len(pairs) and ratio >= LONGER_RATIO:
        yield finding(
            "chosen-longer-throughout",
            f"the chosen answer is the longer one in {len(longer)} of {len(pairs)} pairs, {ratio:.1f} times as long in the "
            "median: length alone tells them apart, and answers will grow. Add pairs whose chosen answer is the shorter, "
            "or train SimPO, which weighs by length",
            longer,
        )


def check_thumbs(records: Sequence[Record], desirable_weight: float, undesirable_weight: float) -> Iterable[Finding]:
    """records: KTO training rows."""
    good = sum(record.label is True for record in records)
    bad = len(records) - good
    if not good or not bad:
        which = "undesirable" if not good else "desirable"
        yield finding(
            "one-label-only",
            f"all {len(records)} rows are {which}: KTO learns from the contrast. Add rows of the other kind"
            + (", or train SFT on these" if good else ""),
        )
        return
    ratio = good * desirable_weight / (bad * undesirable_weight)
    if max(ratio, 1 / ratio) > LARGEST_IMBALANCE:
        yield finding(
            "labels-unbalanced",
            f"{good} desirable and {bad} undesirable rows, weighted {ratio:.3g} to 1: set kto.desirable_weight and "
            "kto.undesirable_weight so that their products with the counts come to between 1 and 4/3",
        )


def _is_same(record: Record) -> bool:
    chosen, rejected = (
        [" ".join(message.content.split()).casefold() for message in answer] for answer in record.answers
    )
    return chosen == rejected
