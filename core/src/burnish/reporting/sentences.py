"""The sentence a verdict is read by, and numbers as people write them."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.reporting.patterns import Trait
from burnish.schemas.evaluation import ClaimAnswer, Comparison, ScoreComparison, Verdict, VerdictName

HEADLINES: dict[VerdictName, str] = {
    "ship": "It fixed the cluster and nothing else broke beyond noise.",
    "investigate": "It improved the cluster, but something else broke.",
    "data-quality": "It did not improve the cluster: look at the training data.",
    "stop": "It did not improve the cluster, and something else broke.",
    "inconclusive": "The evidence does not settle it.",
}


UNSETTLED: dict[tuple[ClaimAnswer | None, ClaimAnswer | None], str] = {  # (improved, broke) of what is inconclusive
    ("yes", "unknown"): "It improved the cluster; whether something else broke is not settled.",
    ("unknown", "yes"): "Something else broke; whether it improved the cluster is not settled.",
    ("unknown", "no"): "Nothing else broke beyond noise; whether it improved the cluster is not settled.",
}


def headline(verdict: Verdict) -> str:
    """The verdict's sentence; then how many more questions would settle it, and that a cheaper baseline does it, if that is known."""
    sentences = [HEADLINES[verdict.verdict]]
    if verdict.verdict == "inconclusive":
        sentences = [UNSETTLED.get((verdict.improved, verdict.broke), sentences[0])]
    wanted = [
        f"{count} more {which} questions"
        for count, which in (
            (verdict.needs_questions, "held-out targeted"),
            (verdict.needs_rest_questions, "rest"),
        )
        if count is not None
    ]
    if wanted:
        sentences.append(f"About {' and '.join(wanted)} would settle it.")
    if verdict.cheaper_rung is not None:
        sentences.append(f"A cheaper baseline does it: {verdict.cheaper_rung}.")
    return " ".join(sentences)


def pattern_sentence(traits: Sequence[Trait], lost: int) -> str:
    """What the regressions share, with its odds and exact p; or that they share nothing that chance does not explain."""
    if not traits:
        return f"No pattern: {'one regression' if lost == 1 else f'{lost} regressions'} with no trait in common."
    patterns = [trait for trait in traits if trait.is_pattern][:3]
    if not patterns:
        return f"No pattern beyond chance. The most over-represented trait: {_trait(traits[0], len(traits))}."
    return f"Pattern: {'; '.join(_trait(trait, len(traits)) for trait in patterns)}."


def _trait(t: Trait, tried: int) -> str:
    return (
        f"“{t.name}”, {t.shared} of {t.lost} regressions against {t.elsewhere} of {t.others} other rest questions {t.against} "
        f"(odds ratio {t.odds_ratio:.3g}, exact one-sided p {p_equals(t.p_value)} after Holm over {tried} traits)"
    )


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def points(share: float | None) -> str:
    """A difference of shares in points, with its sign; a true minus."""
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def interval(comparison: Comparison | ScoreComparison) -> str:
    return "–" if comparison.ci_low is None else f"{points(comparison.ci_low)} to {points(comparison.ci_high)}"


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def p_equals(value: float) -> str:
    """With its relation: `= 0.03`, `< 0.0001`."""
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def fixed(value: float | None, digits: int) -> str:
    """A plain number with a true minus and no sign in front of a positive one; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def grouped(count: int) -> str:
    """A count with thin spaces between its thousands."""
    return f"{count:,}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """`0.4 s`, `48 s`, `5 min 28 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def size(size_bytes: float) -> str:
    """Decimal units, as the command line has them."""
    return f"{size_bytes / 1e9:.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
