"""The sentence a verdict is read by, and numbers as people write them."""

from __future__ import annotations

from burnish.schemas.evaluation import Comparison, Verdict, VerdictName

HEADLINES: dict[VerdictName, str] = {
    "ship": "It fixed the cluster and nothing else broke beyond noise.",
    "investigate": "It improved the cluster, but something else broke.",
    "data-quality": "It did not improve the cluster: look at the training data.",
    "stop": "It did not improve the cluster, and something else broke.",
    "inconclusive": "The evidence does not settle it.",
}


def headline(verdict: Verdict) -> str:
    """One sentence; for an open verdict, with how many more questions would settle it where that is known."""
    sentence = HEADLINES[verdict.verdict]
    if verdict.needs_questions is None:
        return sentence
    return f"{sentence} About {verdict.needs_questions} more held-out targeted questions would."


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def points(share: float | None) -> str:
    """A difference of shares in points, with its sign; a true minus."""
    return "–" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def interval(comparison: Comparison) -> str:
    return "–" if comparison.ci_low is None else f"{points(comparison.ci_low)} to {points(comparison.ci_high)}"


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
