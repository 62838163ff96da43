"""Ways to fold text before comparing it."""

from __future__ import annotations

import re
import unicodedata

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)
_WIDE_TO_ASCII = {0xFF01 + offset: 0x21 + offset for offset in range(94)}


def visible(text: str) -> str:
    """Without what cannot be seen: zero-width characters, soft hyphens, marks of writing direction, tags."""
    return _HIDDEN.sub("", text)


def canonical(text: str) -> str:
    """NFC: the same characters, however they were composed."""
    return unicodedata.normalize("NFC", text)


def narrow(text: str) -> str:
    """Full-width Latin letters, digits and signs in their usual width; all else (unlike NFKC: `5²` stays) as it is."""
    return text.translate(_WIDE_TO_ASCII)


def fold(text: str) -> str:
    """`visible`, NFKC, case folded (NFKC again: folding may decompose), white space collapsed and stripped."""
    folded = unicodedata.normalize("NFKC", visible(text)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def normalise(text: str) -> str:
    """`fold`, without punctuation, symbols and English articles. Source: SQuAD v1.1 evaluation (Rajpurkar et al. 2016), order kept.

    Combining marks are kept: in many scripts they are the vowels.
    """
    kept = "".join(c for c in fold(text) if unicodedata.category(c)[0] not in "PSC")
    return " ".join(_ARTICLES.sub(" ", kept).split())
