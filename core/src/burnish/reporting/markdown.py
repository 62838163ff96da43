"""Foreign text in Markdown: names, labels and error texts that cannot leave the place they are put."""

from __future__ import annotations

import re

from burnish.reporting.visible import visible

# What CommonMark or GitHub's tables, autolinks, mentions and formulas would read as markup inside a line.
_MARKUP = re.compile(r"[\\`*_\[\]<>#|~&$@]|(?<=www)\.|(?<=http):|(?<=https):|(?<=ftp):", re.IGNORECASE)


def code(text: str) -> str:
    """An inline code span that its content cannot leave: on one line, no backtick, no table bar."""
    line = " ".join(visible(text).split()).replace("`", "ˋ").replace("|", "¦")
    return f"`{line or '–'}`"


def line(text: str) -> str:
    """One line of plain text, with every character that could start markup escaped by a backslash."""
    return _MARKUP.sub(lambda match: "\\" + match.group(), " ".join(visible(text).split()))


def counts(items: list[tuple[str, int]]) -> str:
    """``a` 3, `b` 1``; `none` for none."""
    return ", ".join(f"{code(name)} {count}" for name, count in items) or "none"
