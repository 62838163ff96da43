"""How a line is named on the command line."""

from __future__ import annotations

import pytest

from burnish.errors import InvalidInputError
from burnish.runlogs.references import LineReference, parse_line


@pytest.mark.parametrize(
    ("text", "reference", "columns"),
    [
        ("shop:12", LineReference("shop", number=12), {"line_number": [12]}),
        ("shop:question=a:b=c", LineReference("shop", question="a:b=c"), {"question_id": ["a:b=c"]}),
        ("0123456789abcdef:trace=4bf9", LineReference("0123456789abcdef", trace="4bf9"), {"trace_id": ["4bf9"]}),
    ],
)
def test_a_line_is_named_by_number_question_or_trace(
    text: str, reference: LineReference, columns: dict[str, list[object]]
) -> None:
    assert parse_line(text) == reference
    assert reference.columns == columns


@pytest.mark.parametrize(
    "text",
    ["shop", "shop:", ":12", "shop:x", "shop:user=a", "shop:question=", f"shop:{2**70}", "shop:" + "9" * 5000],
)
def test_anything_else_says_how_to_write_it(text: str) -> None:
    with pytest.raises(InvalidInputError, match="write LOG:NUMBER"):
        parse_line(text)


@pytest.mark.parametrize("text", ["shop:question=\ud800", "shop:trace=\x00"])
def test_what_no_id_is_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"surrogate|NUL"):
        parse_line(text)
