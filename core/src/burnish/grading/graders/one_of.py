"""Grader: the answer is one label of a closed list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from burnish.errors import InvalidInputError
from burnish.grading.registry import Grade, failing, grader, passing, skipping
from burnish.grading.text import fold

Labels = Annotated[list[str], Field(min_length=2)]
AROUND = " \"'`*_.,:;!“”‘’()[]"  # what may stand around a label without being more than the label
SHOWN = 10


@grader
def one_of(answer: str, expected: str, *, labels: Labels) -> Grade:
    """The answer is the expected label of `labels` and nothing else; case, white space, quotes and a final full stop do not count.

    not-in-list: the answer is no label, so the format failed. wrong-label: it is another label, so the content failed.
    """
    known = _known(labels)
    wanted, got = _bare(expected), _bare(answer)
    if wanted not in known:
        return skipping(f"the expected answer {expected[:80]!r} is none of the {len(labels)} labels")
    if got == wanted:
        return passing()
    if got in known:
        return failing("wrong-label", f"expected {known[wanted]!r}, got {known[got]!r}")
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return failing("not-in-list", f"the answer is none of {', '.join(labels[:SHOWN])}{more}")


def _known(labels: list[str]) -> dict[str, str]:
    """Bare label -> label as given."""
    known: dict[str, str] = {}
    for label in labels:
        bare = _bare(label)
        if not bare:
            raise InvalidInputError(
                f"grader 'one_of': label {label!r} has no letter, digit or sign", field="grader.args.labels"
            )
        if bare in known:
            raise InvalidInputError(
                f"grader 'one_of': labels {known[bare]!r} and {label!r} are the same to it: keep one",
                field="grader.args.labels",
            )
        known[bare] = label
    return known


def _bare(text: str) -> str:
    return fold(text).strip(AROUND)
