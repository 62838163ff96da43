"""Every route that an application has, also those that its schema does not show, so that none can be open by oversight."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.routing import BaseRoute

PARAMETER = r"{\w+(?::\w+)?}"


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) with each path parameter filled in. A route of a kind that is not known here fails the test."""
    return sorted({(method, re.sub(PARAMETER, "x", path)) for method, path in _walk(app.routes, "")})


def never_called(app: FastAPI, calls: Iterable[tuple[str, str]]) -> list[str]:
    """Routes that no call gets to, as "GET /v1/runlogs/{run_log_id}". calls: (method, target); each counts for the first route that takes it."""
    routes = [(method, path, _pattern(path)) for method, path in _walk(app.routes, "") if method != "HEAD"]
    taken = set()
    for called, target in calls:
        path = unquote(target.partition("?")[0])
        taken.add(next((each for each in routes if each[0] == called and each[2].fullmatch(path)), None))
    return sorted(f"{route[0]} {route[1]}" for route in routes if route not in taken)


def _pattern(path: str) -> re.Pattern[str]:
    words = [re.escape(word) for word in re.split(PARAMETER, path)]
    return re.compile("[^/]+".join(words), re.DOTALL)


def _walk(routes: Sequence[BaseRoute], prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        included = getattr(route, "original_router", None)  # FastAPI from 0.13x on keeps included routers as they are
        if included is not None:
            yield from _walk(included.routes, prefix + getattr(route.include_context, "prefix", ""))  # type: ignore[attr-defined]
            continue
        methods, path = getattr(route, "methods", None), getattr(route, "path", None)
        assert methods, f"{route!r}: how is it called?"
        for method in methods:
            yield method, prefix + path
