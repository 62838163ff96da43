"""Telling a refusal from a wrong answer, so that refusals form a cluster of their own."""

from __future__ import annotations

import re

OPENING_CHARACTERS = 200
_REFUSAL = re.compile(
    r"^\W*(?:i['’]?m (?:very |really )?(?:sorry|afraid)\b|sorry\b|i apologi[sz]e\b|unfortunately,? i\b|"
    r"as an ai\b|i (?:can(?:no|['’]?)t|am (?:not able|unable)|won['’]?t|do not|don['’]?t) (?:help|assist|provide|answer|to|do|have (?:access|enough|the))\b)",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Whether an English answer opens like a refusal. A heuristic on the opening only: it never decides pass or fail."""
    return _REFUSAL.match(answer[:OPENING_CHARACTERS]) is not None
