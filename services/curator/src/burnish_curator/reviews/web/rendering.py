"""HTML of the review pages: the templates, and the headers that close a page off from everything else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from burnish.reporting.differences import Segment, mark_differences
from burnish.reporting.escaping import spelt_out


def _shown(value: Any) -> Any:
    """Whatever a template prints: characters that hide or reorder text are spelt out, but for what is sent back (`| exact`)."""
    return spelt_out(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _changes(text: str, wrong: str) -> list[Segment]:
    """What of a text the wrong answer does not have."""
    return mark_differences(wrong, text)[1]


def _duration(seconds: float) -> str:
    """`8 s`, `12 min`, `3.5 h`."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


templates = Environment(
    loader=PackageLoader("burnish_curator.reviews.web", "templates"),
    autoescape=True,
    finalize=_shown,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters |= {"exact": escape, "changes": _changes, "duration": _duration}


def fragment(template: str, **context: Any) -> str:
    """A part of a page, for the page's script."""
    return templates.get_template(template).render(**context)


def html(template: str, status: int, headers: Mapping[str, str] | None = None, **context: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    closed = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    body = templates.get_template(template).render(nonce=nonce, **context)
    return HTMLResponse(body, status_code=status, headers={**closed, **(headers or {})})


def problem(message: str, status: int) -> HTMLResponse:
    return html("problem.html", status, message=message)
