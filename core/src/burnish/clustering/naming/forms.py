"""The form of an answer that has no sentence: for clusters in which no words are said twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Form = Literal["json", "truncated-json", "numbers", "symbols", "one-word"]
BROKEN_ESCAPE = re.compile(r"\\?u?[0-9a-fA-F]{0,3}")
SURE = 0.9  # share of a cluster's answers that have the form it is named by
BROKEN_OFF = ("true", "false", "null", "-")  # what a value may begin with when the text ends


def form_of(answer: str) -> Form | None:
    """What can be read off the text for certain; None for anything else, an empty answer included."""
    text = answer.strip()
    if text[:1] in ("{", "["):
        return _json_form(text)
    letters, digits = any(sign.isalpha() for sign in text), any(sign.isnumeric() for sign in text)
    if not text or (letters and (digits or not text.isalpha())):
        return None
    return "one-word" if letters else "numbers" if digits else "symbols"


def form_of_all(forms: Sequence[Form | None]) -> Form | None:
    """The form that nearly all of these have."""
    ((form, count),) = Counter(forms).most_common(1)
    return form if count >= SURE * len(forms) else None


def _json_form(text: str) -> Form | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        rest = text[error.pos :]
        is_open = error.msg.startswith("Unterminated string") or (
            error.msg.startswith("Invalid \\u") and BROKEN_ESCAPE.fullmatch(rest) is not None
        )
        ends_there = not rest or any(value.startswith(rest) for value in BROKEN_OFF)
        return "truncated-json" if is_open or ends_there else None
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return None
    return "json"
