"""Model output made harmless to look at: HTML escaping is the template's, this is about what escaping leaves."""

from __future__ import annotations

import re

LONGEST_SHOWN = 4000
# Controls that hide or reorder text: C0 but tab and newline, DEL, C1, bidirectional embeddings, overrides and isolates, BOM.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def visible(text: str | None, longest: int = LONGEST_SHOWN) -> str:
    """The text with hiding and reordering characters spelt out as ‹U+202E›, cut at `longest` characters with a note."""
    if text is None:
        return ""
    cut = text if len(text) <= longest else f"{text[:longest]}\n… {len(text) - longest} more characters"
    return _INVISIBLE.sub(lambda match: f"‹U+{ord(match.group()):04X}›", cut.replace("\r\n", "\n"))
