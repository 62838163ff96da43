"""Ways to fold text before comparing it."""

from __future__ import annotations

import re
import unicodedata

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)
# Scripts that write words without spaces between them, or join particles to them: Thai to Myanmar, Hangul, Khmer, Kana, Han.
_UNSPACED = "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = rf"[^\W{_UNSPACED}]"
_IS_WORD = re.compile(_WORD)
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


def stands_in(needle: str, haystack: str) -> bool:
    """Whether the needle is in the haystack as a token: not inside a longer word or number.

    `art` is not in `start`, 50 not in 150, 50.5, 1,500 or -50; it is in 50kg and 20-50. Where the needle starts or ends with a
    sign, or in a script without spaces between words, nothing is asked of what comes before or after it.
    """
    if not needle:
        return True
    before = rf"(?<!{_WORD})" if _IS_WORD.match(needle[0]) else ""
    after = rf"(?!{_WORD})" if _IS_WORD.match(needle[-1]) else ""
    if needle[0].isdigit():
        before = rf"(?<!{_WORD})(?<!\d[.,])(?<!(?<!\w)[-−])"
    if needle[-1].isdigit():
        after = r"(?![.,]?\d)"
    return re.search(before + re.escape(needle) + after, haystack) is not None
