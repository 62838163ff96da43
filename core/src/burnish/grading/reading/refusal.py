"""Telling a refusal from a wrong answer, so that refusals form a cluster of their own."""

from __future__ import annotations

import re

OPENING_CHARACTERS = 250
_APOLOGY = r"(?:i['’]?m (?:\w+ )?(?:sorry|afraid)|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|as an? (?:[\w-]+ ){0,3}ai)\b"
_INABILITY = (
    r"\bi(?: can(?:not| not|['’]?t)| could(?: not|n['’]t)| won['’]?t| will not|(?: am|['’]m) (?:unable|not able)(?: to)?) "
    r"(?:\w+ )?(?:help|assist|provide|answer|do|access|comply|fulfil|give|generate|create|share|process|complete|browse)|"
    r"\bi (?:do not|don['’]?t) have (?:the ability|access|enough|any)"
)
_REFUSAL = re.compile(rf"^\W*(?:{_APOLOGY}.{{0,150}}?)?(?:{_INABILITY})", re.IGNORECASE | re.DOTALL)


def is_refusal(answer: str) -> bool:
    """Whether an English answer opens by saying that it cannot or will not; an apology alone is none.

    A heuristic on the opening only: it names a failure and never decides pass or fail.
    """
    return _REFUSAL.match(answer[:OPENING_CHARACTERS]) is not None
