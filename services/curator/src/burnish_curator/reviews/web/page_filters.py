"""What part of a review a page shows, as its address has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query

from burnish.schemas.review import STATES
from burnish_curator.access import REVIEW
from burnish_curator.reviews.deciding import Filters

SHOWN = f"^(all|second|{'|'.join(STATES)})$"


@dataclass(frozen=True)
class PageFilters(Filters):
    """mode: compare, for two answers side by side where an item has two; else the item's own answer and the right one."""

    mode: str | None = None

    def url(self, action: str = "", **changes: Any) -> str:
        """The page with some filters changed, or what an action on it posts to. item: a question; after: the one before it; pair: two of its answers."""
        wanted = {"label": self.labels, "slice": self.slices, "show": self.show, "mode": self.mode} | changes
        query = {key: value for key, value in wanted.items() if value not in ((), "open", None)}
        path = f"{REVIEW}/{quote(self.run_log_id, safe='')}{action}"
        return f"{path}?{urlencode(query, doseq=True)}" if query else path


def page_filters(
    run_log_id: str,
    label: Annotated[list[str] | None, Query()] = None,
    slice: Annotated[list[str] | None, Query()] = None,
    show: Annotated[str, Query(pattern=SHOWN)] = "open",
    mode: Annotated[str | None, Query(pattern="^compare$")] = None,
) -> PageFilters:
    """A FastAPI dependency."""
    return PageFilters(run_log_id, _given(label), _given(slice), show, mode)


def _given(values: list[str] | None) -> tuple[str, ...]:
    """Each value once; a parameter without a value is none."""
    return tuple(dict.fromkeys(value for value in values or () if value))
