"""Ways to fold text before comparing it."""

from __future__ import annotations

import re
import unicodedata

_PUNCTUATION = re.compile(r"[^\w\s]|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def fold(text: str) -> str:
    """NFKC, case folded, white space collapsed and stripped."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalise(text: str) -> str:
    """`fold`, without punctuation and English articles. Source: SQuAD v1.1 evaluation (Rajpurkar et al. 2016), order kept."""
    return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub("", fold(text))).split())
