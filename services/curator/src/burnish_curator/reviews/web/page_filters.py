"""What part of a review a page shows, as its address has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Query

from burnish_curator.access import REVIEW
from burnish_curator.reviews.deciding import Filters

SHOWN = "^(all|open|corrected|accepted|unsure|dismissed|flagged|second)$"


@dataclass(frozen=True)
class PageFilters(Filters):
    def url(self, action: str = "", **changes: Any) -> str:
        """The page with some filters changed, or what an action on it posts to. item: a question; after: the one before it."""
        wanted = {"label": self.labels, "slice": self.slices, "show": self.show} | changes
        query = {key: value for key, value in wanted.items() if value not in ((), "open", None)}
        path = f"{REVIEW}/{quote(self.run_log_id, safe='')}{action}"
        return f"{path}?{urlencode(query, doseq=True)}" if query else path


def page_filters(
    run_log_id: str,
    label: Annotated[list[str] | None, Query()] = None,
    slice: Annotated[list[str] | None, Query()] = None,
    show: Annotated[str, Query(pattern=SHOWN)] = "open",
) -> PageFilters:
    """A FastAPI dependency."""
    return PageFilters(run_log_id, _given(label), _given(slice), show)


def _given(values: list[str] | None) -> tuple[str, ...]:
    """Each value once; a parameter without a value is none."""
    return tuple(dict.fromkeys(value for value in values or () if value))
