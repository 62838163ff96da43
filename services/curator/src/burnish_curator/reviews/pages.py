"""The review page: plain HTML that works without script. A small script saves a card without leaving the page.

A browser signs in with the token, which it exchanges for a session cookie (HttpOnly, SameSite=Strict, path /review). Forms
carry a token of that session. The page loads nothing from elsewhere; its content security policy forbids it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from burnish.errors import BurnishError, InvalidInputError, UnauthenticatedError
from burnish.reporting.escaping import spelt_out
from burnish_curator.access import (
    COOKIE,
    DEVICE_COOKIE,
    DEVICE_SECONDS,
    REVIEW,
    SESSION_SECONDS,
    Access,
    SignInDelay,
)
from burnish_curator.requests import state
from burnish_curator.reviews.service import ReviewService

ROOT = REVIEW
router = APIRouter(prefix=ROOT, include_in_schema=False)


def _shown(value: Any) -> Any:
    """Whatever a template prints: characters that hide or reorder text are spelt out, but for what is sent back (`| exact`)."""
    return spelt_out(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_templates = Environment(
    loader=PackageLoader("burnish_curator.reviews", "templates"),
    autoescape=True,
    finalize=_shown,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["exact"] = escape


@dataclass(frozen=True)
class Filters:
    """What part of a review is in view; kept in the page's URL."""

    run_log_id: str
    labels: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    show: str = "all"
    page: int = 1

    def url(self, action: str = "", **changes: Any) -> str:
        """The page with some filters changed, or what an action on it posts to."""
        wanted = {"label": self.labels, "slice": self.slices, "show": self.show, "page": self.page} | changes
        query = {key: value for key, value in wanted.items() if value not in ((), "all", 1)}
        path = f"{ROOT}/{quote(self.run_log_id, safe='')}{action}"
        return f"{path}?{urlencode(query, doseq=True)}" if query else path


@dataclass(frozen=True)
class Attempt:
    """A correction that was refused, shown again with the reason so that nothing typed is lost."""

    question_id: str
    corrected_output: str
    reason: str


PageNumber = Annotated[int, Query(ge=1)]
AccessPart = Annotated[Access, Depends(state("access"))]
Service = Annotated[ReviewService, Depends(state("reviews"))]


def _session(request: Request, access: AccessPart) -> str | None:
    """The session of a signed-in browser."""
    session = request.cookies.get(COOKIE, "")
    return session if access.is_session(session) else None


def _filters(
    run_log_id: str,
    label: Annotated[list[str] | None, Query()] = None,
    slice: Annotated[list[str] | None, Query()] = None,
    show: Annotated[str, Query(pattern="^(all|open)$")] = "all",
    page: PageNumber = 1,
) -> Filters:
    return Filters(run_log_id, _given(label), _given(slice), show, page)


def _given(values: list[str] | None) -> tuple[str, ...]:
    """Each value once; a parameter without a value is none."""
    return tuple(dict.fromkeys(value for value in values or () if value))


Session = Annotated[str | None, Depends(_session)]
View = Annotated[Filters, Depends(_filters)]


@router.post("/sign-in")
def sign_in(
    request: Request,
    access: AccessPart,
    delay: Annotated[SignInDelay, Depends(state("sign_in_delay"))],
    token: Annotated[str, Form()],
    next: Annotated[str, Form()],
) -> Response:
    target = next if next.startswith((f"{ROOT}/", f"{ROOT}?")) and "\\" not in next else ROOT
    device = request.cookies.get(DEVICE_COOKIE, "")
    is_known = access.is_device(device)
    caller = f"browser {device}" if is_known else f"address {request.client.host if request.client else ''}"
    if (wait := delay.wait_seconds(caller)) > 0:
        seconds = math.ceil(wait)
        reason = f"Too many wrong tokens from your {caller.split()[0]}: wait {seconds} s, then try again."
        return _html("sign_in.html", 429, {"Retry-After": str(seconds)}, target=target, reason=reason)
    if not access.is_token(token.strip()):
        delay.failed(caller)
        return _sign_in_form(target, reason="That is not the token. `burnish token` prints it.")
    delay.succeeded(caller)
    response = RedirectResponse(target, status_code=303)
    kept = {COOKIE: (access.new_session(), SESSION_SECONDS)}
    if not is_known:
        kept[DEVICE_COOKIE] = (access.new_device(), DEVICE_SECONDS)
    for name, (value, seconds) in kept.items():
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=ROOT,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return response


@router.get("")
def overview_page(session: Session, service: Service, page: PageNumber = 1) -> Response:
    """Every run log with its review queue."""
    if session is None:
        return _sign_in_form(_overview_url(page), reason=None)
    try:
        overview = service.overview(page)
    except BurnishError as error:
        return _html("problem.html", error.code.http_status, message=error.message)
    entries = []
    for queue in overview.queues:
        all_labels = Filters(queue.run_log.id)
        labels = [(cluster, all_labels.url(label=cluster.label)) for cluster in queue.clusters]
        entries.append((queue, all_labels.url(), labels))
    links = {
        "back": _overview_url(overview.page - 1) if overview.page > 1 else None,
        "on": _overview_url(overview.page + 1) if overview.page < overview.pages else None,
    }
    return _html("overview.html", 200, view=overview, entries=entries, links=links)


def _overview_url(page: int) -> str:
    return ROOT if page == 1 else f"{ROOT}?page={page}"


@router.get("/{run_log_id}")
def review_page(filters: View, session: Session, access: AccessPart, service: Service) -> Response:
    if session is None:
        return _sign_in_form(filters.url(), reason=None)
    return _page(filters, access.form_token(session), service)


@router.post("/{run_log_id}/corrections")
def correct(
    request: Request,
    filters: View,
    session: Session,
    access: AccessPart,
    service: Service,
    form_token: Annotated[str, Form()],
    question_id: Annotated[str, Form()],
    failure_label: Annotated[str, Form()],
    corrected_output: Annotated[str, Form()] = "",
) -> Response:
    """Save one card. Answers JSON to the page's script, and the page again to a browser without it."""
    if session is None or not access.is_form_token(form_token, session):
        raise UnauthenticatedError("the session has ended: open the page again in another tab to sign in, then save")
    by_script = "application/json" in request.headers.get("accept", "")
    text = corrected_output.replace("\r\n", "\n")
    try:
        is_corrected = service.correct(filters.run_log_id, question_id, failure_label, text)
    except InvalidInputError as error:
        if by_script:
            raise
        return _page(filters, access.form_token(session), service, Attempt(question_id, text, error.message))
    if not by_script:
        return RedirectResponse(filters.url(), status_code=303)
    progress = service.progress(filters.run_log_id, filters.labels, filters.slices)
    return JSONResponse({"stands": is_corrected, "corrected": progress.corrected, "total": progress.total})


def _page(filters: Filters, form_token: str, service: ReviewService, attempt: Attempt | None = None) -> Response:
    try:
        view = service.view(filters.run_log_id, filters.labels, filters.slices, filters.show == "open", filters.page)
    except BurnishError as error:
        return _html("problem.html", error.code.http_status, message=error.message)
    links = {
        "overview": ROOT,
        "every": filters.url(label=(), page=1),
        "slices": filters.url(slice=(), page=1),
        "labels": [(cluster, filters.url(label=cluster.label, page=1)) for cluster in view.clusters],
        "all": filters.url(show="all", page=1),
        "open": filters.url(show="open", page=1),
        "back": filters.url(page=view.page - 1) if view.page > 1 else None,
        "on": filters.url(page=view.page + 1) if view.page < view.pages else None,
        "save": filters.url("/corrections"),
    }
    status = 400 if attempt else 200
    return _html("review.html", status, view=view, filters=filters, attempt=attempt, links=links, form_token=form_token)


def _sign_in_form(target: str, reason: str | None) -> Response:
    return _html("sign_in.html", 401, target=target, reason=reason)


def _html(template: str, status: int, headers: Mapping[str, str] | None = None, **context: Any) -> HTMLResponse:
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
    body = _templates.get_template(template).render(nonce=nonce, **context)
    return HTMLResponse(body, status_code=status, headers={**closed, **(headers or {})})
