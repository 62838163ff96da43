"""Every route that an application has, also those that its schema does not show, so that none can be open by oversight."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fastapi import FastAPI
from starlette.routing import BaseRoute


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) with each path parameter filled in. A route of a kind that is not known here fails the test."""
    return sorted(set(_walk(app.routes, "")))


def _walk(routes: Sequence[BaseRoute], prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI from 0.13x on keeps included routers as they are
        if included is not None:
            yield from _walk(included.routes, prefix + getattr(route.include_context, "prefix", ""))  # type: ignore[attr-defined]
            continue
        methods, path = getattr(route, "methods", None), getattr(route, "path", None)
        assert methods, f"{route!r}: how is it called?"
        for method in methods:
            yield method, prefix + re.sub(r"{\w+(:\w+)?}", "x", path)
