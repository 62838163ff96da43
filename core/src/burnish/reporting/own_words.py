"""The place in postmortem.md for a person's own words: made, found again, and carried into a rebuild."""

from __future__ import annotations

import re

from burnish.digests import version_of
from burnish.errors import InvalidInputError

BEGIN, END = "<!-- human:begin -->", "<!-- human:end -->"
EMPTY = "\n\n"
_MARKER = re.compile(r"^<!--\s*human:(begin|end)\s*-->[ \t]*$", re.MULTILINE)
_SEAL = re.compile(r"^<!-- burnish:generated ([0-9a-f]{16}) -->$", re.MULTILINE)


def with_words(before: str, after: str, words: str) -> str:
    """The whole text: before, the words between their markers, after, and a seal over what Burnish wrote itself."""
    return f"{before}\n\n{BEGIN}{words}{END}\n\n{after}\n\n<!-- burnish:generated {_digest(before, after)} -->\n"


def own_words(previous: str | None) -> str:
    """The text between the markers of an earlier postmortem, verbatim; EMPTY for None.

    Raises InvalidInputError if words could be lost: a marker is missing, doubled or out of order, or the text
    outside the markers is not as Burnish wrote it. Keep a copy of the file then, and start with an empty place.
    """
    if previous is None:
        return EMPTY
    text = previous.replace("\r\n", "\n")
    markers = list(_MARKER.finditer(text))
    if [marker.group(1) for marker in markers] != ["begin", "end"]:
        found = ", ".join(marker.group(1) for marker in markers) or "none"
        raise InvalidInputError(
            f"postmortem.md: expected one line {BEGIN} and, after it, one line {END}, found: {found}; "
            "put the two lines around your words again"
        )
    begin, end = markers
    before, rest = text[: begin.start()].rstrip("\n"), text[end.end() :].strip("\n")
    seal = _SEAL.search(rest)
    after = rest[: seal.start()].rstrip("\n") if seal else rest
    if seal is None or seal.group(1) != _digest(before, after) or rest[seal.end() :].strip():
        raise InvalidInputError(
            f"postmortem.md: the text outside {BEGIN} and {END} was changed by hand, and a rebuild would lose that; "
            "move it between the two lines"
        )
    return text[begin.end() : end.start()]


def _digest(before: str, after: str) -> str:
    return version_of(*(text.encode(errors="surrogateescape") for text in (before, after)))
