"""What a 405 must say: the methods that a path has. A router names those of the first route whose path matches alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from burnish.asgi.types import Scope

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


class Route(Protocol):
    """Starlette's, as far as it is asked."""

    def matches(self, scope: Scope) -> tuple[Any, Scope]: ...


def allowed_methods(routes: Iterable[Route], scope: Scope) -> str:
    """For the header `Allow`: every method that some route takes for the path of this request."""
    fresh = {name: value for name, value in scope.items() if name not in ("path_params", "route", "endpoint")}
    routes = list(routes)
    return ", ".join(
        method
        for method in METHODS
        if any(route.matches({**fresh, "method": method})[0].name == "FULL" for route in routes)
    )
