"""Pages of lists: every thing once, whatever is made or removed between two pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from burnish.errors import InvalidInputError
from burnish.schemas.base import BrokenObject, Listing
from burnish.service.paging import newest_first, page_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def made(number: int) -> Any:
    """Two share each time."""
    return SimpleNamespace(id=f"e{number:02d}", created_at=START + timedelta(seconds=number // 2))


def listing(numbers: range) -> Listing[Any]:
    found = sorted(map(made, numbers), key=newest_first, reverse=True)
    return Listing(found, [BrokenObject(key="evals/x/manifest.json", problem="broken")])


def test_pages_follow_each_other_while_things_come_and_go() -> None:
    seen, token, broken = [], "", 0
    for numbers in (range(10), range(14), range(2, 14)):
        page, token = page_of(listing(numbers), 3, token)
        seen += [item.id for item in page]
        broken += len(page.broken)
    assert (seen, token, broken) == ([f"e{number:02d}" for number in range(9, 1, -1)], "", 1)


def test_without_a_size_the_list_is_whole() -> None:
    page, token = page_of(listing(range(2000)), None)
    assert (len(page), token, len(page.broken)) == (2000, "", 1)
    page, token = page_of(listing(range(3)), 3)
    assert (len(page), token) == (3, "")


@pytest.mark.parametrize("token", ["not!base64", "AAA", "/w=="])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(InvalidInputError, match="page_token"):
        page_of(listing(range(3)), 1, token)
