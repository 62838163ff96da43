"""Pages of a list over HTTP. Without a page size a list is answered whole, as it always was."""

from __future__ import annotations

import base64
import re
from datetime import UTC
from typing import Any, TypeVar

from burnish.errors import InvalidInputError
from burnish.schemas.base import Listing

Item = TypeVar("Item")
MOST_ITEMS = 1000  # of a page
_PLACE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+ \S.*")


def newest_first(item: Any) -> str:
    """Where a stored thing stands in a list from newest to oldest; unique."""
    made = item.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{made} {item.id}" if hasattr(item, "id") else f"{made} {item.name} {item.version}"


def page_of(found: Listing[Item], size: int | None, token: str = "") -> tuple[Listing[Item], str]:
    """A page, and the token of the next one (empty: this is the last). What is made or removed meanwhile shifts nothing.

    found: in descending order of `newest_first`. token: as an earlier page gave it; InvalidInputError for another. The broken objects
    are on the first page alone.
    """
    after = _read(token)
    left = [item for item in found if after is None or newest_first(item) < after]
    shown = left if size is None else left[:size]
    more = _write(newest_first(shown[-1])) if len(shown) < len(left) else ""
    return Listing(shown, found.broken if after is None else ()), more


def _write(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _read(token: str) -> str | None:
    if not token:
        return None
    try:
        place = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        place = ""
    if not _PLACE.fullmatch(place):
        raise InvalidInputError("page_token: it is none that an answer gave as next_page_token", field="page_token")
    return place
