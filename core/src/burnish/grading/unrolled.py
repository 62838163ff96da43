"""How large a regular expression is once it is compiled: `regex` writes out what a count repeats.

`a{9999}` is ten thousand nodes of about 100 bytes, `(?:a{999}){999}` a million. Called before a pattern is compiled.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\\(?:[pPN]\{[^}]*\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|\{([0-9]+)(?:,[0-9]*)?\}|(\s)|.", re.DOTALL
)
_COMMENT = re.compile(r"#[^\n]*")


def unrolled_size(pattern: str) -> int:
    """Nodes of the compiled pattern, about: every character or set is one, times the least counts of what it stands in."""
    return max(
        _size(pattern), _size(_COMMENT.sub("", pattern))
    )  # comments of a verbose pattern may stand before a count


def _size(pattern: str) -> int:
    outer: list[int] = []
    size = last = 0  # of the group so far, and of what a count would repeat
    for token in _TOKEN.finditer(pattern):
        text, count, blank = token[0], token[1], token[2]
        if text == "(":
            outer.append(size)
            size = last = 0
        elif text == ")" and outer:
            last = size + 1
            size = outer.pop() + last
        elif count:
            times = max(int(count[-9:]) if len(count.lstrip("0")) <= 9 else 10**9, 1)
            size += last * (times - 1)
            last *= times
        elif blank:
            size += 1  # in a verbose pattern a count may follow a blank
        else:
            size, last = size + 1, 1
    return size + sum(outer)
