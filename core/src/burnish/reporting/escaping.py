"""Foreign text made harmless: hidden characters are spelt out, and nothing in a name or label is read as Markdown.

Escaping for HTML is the template's.
"""

from __future__ import annotations

import re
from itertools import cycle

from markupsafe import Markup, escape

LONGEST_SHOWN = 4000
# Controls that hide or reorder text: C0 but tab and newline, DEL, C1, bidirectional embeddings, overrides and isolates, BOM.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# What CommonMark or GitHub's tables, autolinks, mentions and formulas would read as markup inside a line.
_MARKUP = re.compile(r"[\\`*_\[\]<>#|~&$@]|(?<=www)\.|(?<=http):|(?<=https):|(?<=ftp):", re.IGNORECASE)


def spelt_out(text: str) -> str:
    """The text with hiding and reordering characters spelt out as ‹U+202E›, so that no terminal or page obeys them."""
    return _INVISIBLE.sub(lambda match: f"‹U+{ord(match.group()):04X}›", text)


def json_spelt_out(document: str) -> str:
    """The same for a JSON document, by JSON's own escapes: it stays the same value. Its C0 controls are escaped already."""
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match.group()):04x}", document)


def visible(text: str | None, longest: int = LONGEST_SHOWN) -> str:
    """The text spelt out, and cut at `longest` characters with a note."""
    if text is None:
        return ""
    cut = text if len(text) <= longest else f"{text[:longest]}\n… {len(text) - longest} more characters"
    return spelt_out(cut.replace("\r\n", "\n"))


def code(text: str) -> str:
    """An inline code span that its content cannot leave: on one line, no backtick, no table bar."""
    line = " ".join(visible(text).split()).replace("`", "ˋ").replace("|", "¦")
    return f"`{line or '–'}`"


def line_with_code(text: str) -> str:
    """The same as `line`, but what stands between two backticks is a code span."""
    return "".join(code(part) if is_code else _escaped(part) for part, is_code in _parts(" ".join(text.split())))


def html_with_code(text: str) -> Markup:
    """The text as HTML, hiding characters spelt out; what stands between two backticks is a code element."""
    shown = [(escape(part), is_code) for part, is_code in _parts(visible(text))]
    return Markup("").join(Markup("<code>{}</code>").format(part) if is_code else part for part, is_code in shown)


def _parts(text: str) -> list[tuple[str, bool]]:
    """The text in its order, and whether a part stood between two backticks. One without its partner is text."""
    parts = re.split(r"`([^`]+)`", text)
    return list(zip(parts, cycle((False, True)), strict=False))


def line(text: str) -> str:
    """One line of plain text, with every character that could start markup escaped by a backslash."""
    return _escaped(" ".join(visible(text).split()))


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda match: "\\" + match.group(), visible(text))


def counts(items: list[tuple[str, int]]) -> str:
    """``a` 3, `b` 1``; `none` for none."""
    return ", ".join(f"{code(name)} {count}" for name, count in items) or "none"
