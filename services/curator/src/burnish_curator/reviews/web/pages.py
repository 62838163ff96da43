"""Signing in to the review pages, and the overview. A browser exchanges the token for a session cookie (HttpOnly, SameSite=Strict, path /review).

The pages are plain HTML and work without script. Forms carry a token of their session. They load nothing from elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from burnish.errors import BurnishError, UnauthenticatedError
from burnish_curator.access import (
    COOKIE,
    DEVICE_COOKIE,
    DEVICE_SECONDS,
    MOST_NAME_CHARACTERS,
    REVIEW,
    SESSION_SECONDS,
    Access,
    SignInDelay,
)
from burnish_curator.requests import state
from burnish_curator.reviews.service import ReviewService
from burnish_curator.reviews.web.page_filters import PageFilters
from burnish_curator.reviews.web.rendering import html, problem

ROOT = REVIEW
LABELS_SHOWN = 12
router = APIRouter(prefix=ROOT, include_in_schema=False)
PageNumber = Annotated[int, Query(ge=1)]
AccessPart = Annotated[Access, Depends(state("access"))]
Service = Annotated[ReviewService, Depends(state("reviews"))]


@dataclass(frozen=True)
class SignedIn:
    """A browser's session. form_token: what its forms carry."""

    session: str
    reviewer: str
    form_token: str


def signed_in(request: Request, access: AccessPart) -> SignedIn | None:
    session = request.cookies.get(COOKIE, "")
    if not access.is_session(session):
        return None
    return SignedIn(session, access.reviewer(session), access.form_token(session))


def sender(request: Request, access: AccessPart, form_token: Annotated[str, Form()]) -> SignedIn:
    """Who sent a form. UnauthenticatedError if it is no form of their own session."""
    browser = signed_in(request, access)
    if browser is None or not access.is_form_token(form_token, browser.session):
        raise UnauthenticatedError("the session has ended: open the page again in another tab to sign in, then save")
    return browser


Browser = Annotated[SignedIn | None, Depends(signed_in)]
Sender = Annotated[SignedIn, Depends(sender)]


@router.post("/sign-in")
def sign_in(
    request: Request,
    access: AccessPart,
    delay: Annotated[SignInDelay, Depends(state("sign_in_delay"))],
    token: Annotated[str, Form()],
    next: Annotated[str, Form()],
    reviewer: Annotated[str, Form(max_length=MOST_NAME_CHARACTERS)] = "",
) -> Response:
    target = next if next.startswith((f"{ROOT}/", f"{ROOT}?")) and "\\" not in next else ROOT
    device = request.cookies.get(DEVICE_COOKIE, "")
    is_known = access.is_device(device)
    caller = f"browser {device}" if is_known else f"address {request.client.host if request.client else ''}"
    if (wait := delay.wait_seconds(caller)) > 0:
        seconds = math.ceil(wait)
        reason = f"Too many wrong tokens from your {caller.split()[0]}: wait {seconds} s, then try again."
        return html("sign_in.html", 429, {"Retry-After": str(seconds)}, target=target, reason=reason)
    if not access.is_token(token.strip()):
        delay.failed(caller)
        return sign_in_form(target, reason="That is not the token. `burnish token` prints it.")
    delay.succeeded(caller)
    response = RedirectResponse(target, status_code=303)
    kept = {COOKIE: (access.new_session(reviewer), SESSION_SECONDS)}
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
def overview_page(browser: Browser, service: Service, page: PageNumber = 1) -> Response:
    """Every run log with its review queue."""
    if browser is None:
        return sign_in_form(_overview_url(page), reason=None)
    try:
        overview = service.overview(page)
    except BurnishError as error:
        return problem(error.message, error.code.http_status)
    entries = []
    for queue in overview.queues:
        all_labels = PageFilters(queue.run_log.id)
        labels = [(cluster, all_labels.url(label=cluster.label)) for cluster in queue.clusters[:LABELS_SHOWN]]
        entries.append((queue, all_labels.url(), labels))
    links = {
        "back": _overview_url(overview.page - 1) if overview.page > 1 else None,
        "on": _overview_url(overview.page + 1) if overview.page < overview.pages else None,
    }
    return html("overview.html", 200, view=overview, entries=entries, links=links)


def _overview_url(page: int) -> str:
    return ROOT if page == 1 else f"{ROOT}?page={page}"


def sign_in_form(target: str, reason: str | None) -> Response:
    return html("sign_in.html", 401, target=target, reason=reason)
