"""Cross-entropy of plain texts under two models, compared in pairs. Pure; called by the eval client."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from burnish.errors import InvalidInputError
from burnish.extras import Late

stats = Late("scipy.stats")


@dataclass(frozen=True)
class TextScore:
    """nats: −Σ ln p(token | those before it) over the `tokens` predicted tokens of a text (all but its first)."""

    text_id: str
    tokens: int
    nats: float


@dataclass(frozen=True)
class CrossEntropy:
    """Nats a token. base, candidate: means weighted by tokens; delta = candidate − base, above 0 if it got worse.

    low, high: 95 % interval of delta with the texts as units; None for fewer than two texts.
    """

    texts: int
    tokens: int
    base: float
    candidate: float
    delta: float
    low: float | None
    high: float | None


def compare_texts(base: Sequence[TextScore], candidate: Sequence[TextScore], confidence: float = 0.95) -> CrossEntropy:
    """Compare two models on the same texts.

    delta is a ratio of sums, Σ (difference in nats) / Σ tokens. Its interval is Student's t with n − 1 degrees of freedom
    on the linearised variance n/(n−1) Σ e² / (Σ tokens)², e = difference − delta · tokens of a text: tokens of one text
    are not independent, texts are taken to be. It speaks of texts like these, not of all text.
    Source: Cochran 1977, Sampling Techniques, 3rd edition, section 6.4 (ratio estimate, finite population ignored).

    Raises InvalidInputError if the sides hold other texts, none, or cut one into another number of tokens (another
    tokenizer: nats a token cannot be compared), or if a value is not finite.
    """
    _check(base, candidate)
    tokens = np.array([score.tokens for score in base], dtype=float)
    base_nats = np.array([score.nats for score in base])
    differences = np.array([score.nats for score in candidate]) - base_nats
    total = float(tokens.sum())
    delta = float(differences.sum()) / total
    half = _half_width(differences - delta * tokens, total, confidence)
    base_mean = float(base_nats.sum()) / total
    return CrossEntropy(
        texts=len(base),
        tokens=int(total),
        base=base_mean,
        candidate=base_mean + delta,
        delta=delta,
        low=None if half is None else delta - half,
        high=None if half is None else delta + half,
    )


def _half_width(
    residuals: np.ndarray[tuple[int], np.dtype[np.float64]], total: float, confidence: float
) -> float | None:
    n = len(residuals)
    if n < 2:
        return None
    deviation = math.sqrt(n / (n - 1) * float((residuals**2).sum())) / total
    return float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * deviation


def _check(base: Sequence[TextScore], candidate: Sequence[TextScore]) -> None:
    if not base or [score.text_id for score in base] != [score.text_id for score in candidate]:
        raise InvalidInputError(
            "base and candidate must be scored on the same texts, in the same order, and at least one"
        )
    for ours, theirs in zip(base, candidate, strict=True):
        if ours.tokens != theirs.tokens:
            raise InvalidInputError(
                f"text {ours.text_id!r} is {ours.tokens} tokens to the base and {theirs.tokens} to the candidate: "
                "they have different tokenizers, so nats a token cannot be compared"
            )
        if ours.tokens < 1 or not (math.isfinite(ours.nats) and math.isfinite(theirs.nats)):
            raise InvalidInputError(f"text {ours.text_id!r} has no finite cross-entropy on both sides")
