"""The page of one review: an item in focus, decisions about it, undo, and many items at once.

Every call is a plain form. The page's script sends the same forms and asks for JSON: `{"html", "url", "said"}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from burnish.curation.preferences.answers import Answer
from burnish.curation.preferences.pairs import Pair
from burnish.errors import BurnishError, ConflictError, InvalidInputError
from burnish.schemas.review import (
    MOST_EVENTS,
    PROMPT_KEY,
    SET_ASIDE,
    THUMBS,
    Preference,
    ReviewDecision,
    ReviewState,
)
from burnish_curator.access import REVIEW
from burnish_curator.requests import state
from burnish_curator.reviews.deciding import Item, QueueService, ReviewPage
from burnish_curator.reviews.opinions import what_happened
from burnish_curator.reviews.web.page_filters import PageFilters, page_filters
from burnish_curator.reviews.web.pages import LABELS_SHOWN, Browser, Sender, SignedIn, sign_in_form
from burnish_curator.reviews.web.reasons import REASONS
from burnish_curator.reviews.web.rendering import fragment, html, problem

router = APIRouter(prefix=f"{REVIEW}/{{run_log_id}}", include_in_schema=False)
View = Annotated[PageFilters, Depends(page_filters)]
Queue = Annotated[QueueService, Depends(state("review_queue"))]
MORE_LABELS = 100
ACTION = r"^(save|prefer:(a|b|tie|neither|up|down)|use:[0-9a-f]{12}|reason:[1-9]|unsure|dismissed|flagged|open)$"


@dataclass(frozen=True)
class Attempt:
    """A decision that was refused, shown again with the reason so that nothing typed is lost."""

    output: str
    reason: str
    refusal: str


@dataclass(frozen=True)
class SentDecision:
    """The fields of the item's form. action: save, use:KEY (a suggestion), prefer:CHOICE, reason:N (one of REASONS), a state to set aside, or open.

    a, b: ids of the answers that were shown as A and B.
    """

    question_id: Annotated[str, Form()]
    failure_label: Annotated[str, Form()]
    prompt_key: Annotated[str | None, Form(pattern=PROMPT_KEY)] = None
    action: Annotated[str, Form(pattern=ACTION)] = "save"
    a: Annotated[str, Form()] = ""
    b: Annotated[str, Form()] = ""
    version: Annotated[int | None, Form(ge=0, le=MOST_EVENTS)] = None
    corrected_output: Annotated[str, Form()] = ""
    reason: Annotated[str, Form()] = ""
    seconds: Annotated[float | None, Form(ge=0, le=1e9)] = None

    @property
    def text(self) -> str:
        """As it was typed: a form sends line ends as CR LF."""
        return self.corrected_output.replace("\r\n", "\n")


@router.get("")
def review_page(
    request: Request,
    filters: View,
    browser: Browser,
    queue: Queue,
    item: Annotated[str | None, Query()] = None,
    after: Annotated[str | None, Query()] = None,
    edit: Annotated[int | None, Query(ge=0)] = None,
    pair: Annotated[int | None, Query(ge=0)] = None,
    done: Annotated[str | None, Query(pattern=r"^(unsure|dismissed|flagged|undone)-\d{1,9}$")] = None,
) -> Response:
    if browser is None:
        return sign_in_form(filters.url(item=item), reason=None)
    return _answer(request, filters, browser, queue, item=item, after=after, edit=edit, pair=pair, said=_said(done))


@router.post("/corrections")
def decide(
    request: Request, filters: View, browser: Sender, queue: Queue, sent: Annotated[SentDecision, Depends()]
) -> Response:
    """Decide about one item, and go on to the next."""
    try:
        decision = _decision(sent, browser, queue, filters)
        event = queue.decide(filters.run_log_id, decision, second=filters.show == "second")
    except (InvalidInputError, ConflictError) as error:
        attempt = Attempt(sent.text, sent.reason, error.message)
        return _answer(request, filters, browser, queue, item=sent.question_id, attempt=attempt, error=error)
    if not _by_script(request):
        return RedirectResponse(filters.url(after=sent.question_id), status_code=303)
    said = f"{sent.question_id}: {event.state}"
    return _answer(request, filters, browser, queue, after=sent.question_id, said=said)


@router.post("/undo")
def undo(request: Request, filters: View, browser: Sender, queue: Queue) -> Response:
    """Take back the reviewer's newest action, and show what it was about."""
    try:
        taken = queue.undo(filters.run_log_id, browser.reviewer)
    except BurnishError as error:
        if _by_script(request):
            raise
        return problem(error.message, error.code.http_status)
    done = f"undone-{len(taken.events)}"
    first = taken.events[0].question_id if taken.events else None
    everywhere = PageFilters(filters.run_log_id, show=filters.show, mode=filters.mode)
    if not _by_script(request):
        return RedirectResponse(everywhere.url(item=first, done=done), status_code=303)
    return _answer(request, everywhere, browser, queue, item=first, said=_said(done))


@router.post("/lease")
def renew(filters: View, browser: Sender, queue: Queue, question_id: Annotated[str, Form()]) -> JSONResponse:
    """For the script, while somebody works on an item."""
    lease = queue.renew(filters.run_log_id, question_id, browser.reviewer)
    return JSONResponse({"mine": lease.holder == browser.reviewer, "holder": lease.holder})


@router.post("/bulk")
def bulk(
    filters: View,
    browser: Sender,
    queue: Queue,
    reason: Annotated[int, Form(ge=1, le=len(REASONS))],
    words: Annotated[str, Form(max_length=1000)] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """Without a token the preview; with the preview's token, the decision about every open item in view."""
    chosen = REASONS[reason - 1]
    text = words.strip() or chosen.words
    refusal = None
    try:
        if token:
            count = queue.decide_all(filters, chosen.state, text, browser.reviewer, token)
            return RedirectResponse(filters.url(done=f"{chosen.state}-{count}"), status_code=303)
    except (ConflictError, InvalidInputError) as error:
        refusal = error
    except BurnishError as error:
        return problem(error.message, error.code.http_status)
    try:
        preview = queue.preview(filters)
    except BurnishError as error:
        return problem(error.message, error.code.http_status)
    links = {"apply": filters.url("/bulk"), "back": filters.url()}
    return html(
        "bulk.html",
        refusal.code.http_status if refusal else 200,
        preview=preview,
        chosen=chosen,
        number=reason,
        words=text,
        refusal=refusal.message if refusal else None,
        filters=filters,
        links=links,
        form_token=browser.form_token,
    )


def _decision(sent: SentDecision, browser: SignedIn, queue: QueueService, filters: PageFilters) -> ReviewDecision:
    """What a form decides. A text that a suggestion has word for word is accepted; any other is a correction."""
    kind, _, number = sent.action.partition(":")
    known: dict[str, Any] = {
        "question_id": sent.question_id,
        "failure_label": sent.failure_label,
        "prompt_key": sent.prompt_key,
        "version": sent.version,
        "author": browser.reviewer,
        "seconds": sent.seconds,
    }
    if kind == "reason":
        reason = REASONS[int(number) - 1]
        return ReviewDecision(**known, state=reason.state, reason=reason.words)
    if kind in SET_ASIDE:
        return ReviewDecision(**known, state=kind, reason=sent.reason.strip())
    if kind == "prefer":
        asked = ReviewDecision(**known, state="open")
        return _preferred(asked, number, sent, queue.answers(filters.run_log_id, asked))
    suggestions = {suggestion.key: suggestion.text for suggestion in queue.suggestions(filters, sent.question_id)}
    if kind == "use":
        if number not in suggestions:
            raise InvalidInputError("this suggestion is not there any more: look at those that are", field="action")
        return ReviewDecision(**known, state="accepted", output=suggestions[number])
    if kind == "open" or not sent.text.strip():
        return ReviewDecision(**known, state="open")
    state: ReviewState = "accepted" if sent.text in suggestions.values() else "corrected"
    return ReviewDecision(**known, state=state, output=sent.text)


def _preferred(decision: ReviewDecision, choice: str, sent: SentDecision, answers: Sequence[Answer]) -> ReviewDecision:
    """InvalidInputError if an answer that was shown is not there any more."""
    by_id = {answer.id: answer for answer in answers}
    shown = [each for each in (sent.a, sent.b) if each]
    if any(each not in by_id for each in shown) or len(shown) != (1 if choice in THUMBS else 2):
        raise InvalidInputError("the answers of this item have changed: look at them again", field="action")
    texts = dict(zip("ab", (by_id[each].text for each in shown), strict=False))
    preference = Preference.model_validate({"choice": choice} | texts)
    state: ReviewState = "rated" if choice in THUMBS else "compared"
    return decision.model_copy(update={"state": state, "preference": preference})


def _answer(
    request: Request,
    filters: PageFilters,
    browser: SignedIn,
    queue: QueueService,
    *,
    item: str | None = None,
    after: str | None = None,
    edit: int | None = None,
    pair: int | None = None,
    said: str = "",
    attempt: Attempt | None = None,
    error: BurnishError | None = None,
) -> Response:
    """The page with an item, or for the script its part that changes."""
    try:
        page = queue.page(filters, browser.reviewer, item, after, pair)
    except BurnishError as failure:
        if _by_script(request):
            raise
        return problem(failure.message, failure.code.http_status)
    context: dict[str, Any] = {
        "page": page,
        "item": page.item,
        "filters": filters,
        "reasons": REASONS,
        "reviewer": browser.reviewer,
        "form_token": browser.form_token,
        "attempt": attempt,
        "said": said,
        "text": _text(page.item, filters, attempt, edit),
        "stands": what_happened(page.item.standing) if page.item and page.item.standing else "",
        "links": _links(filters, page),
        "what_happened": what_happened,
        "is_blind": filters.show == "second",
        "pair": _pair(page.item, filters, attempt),
    }
    status = error.code.http_status if error else 200
    if not _by_script(request):
        return html("review.html", status, **context)
    body = {"html": fragment("work.html", **context), "url": context["links"]["here"], "said": said}
    if error:
        body["error"] = error.to_dict() | {"request_id": request.state.request_id}
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


def _text(item: Item | None, filters: PageFilters, attempt: Attempt | None, edit: int | None) -> str:
    """What the text field holds at first."""
    if attempt is not None:
        return attempt.output
    if item is None:
        return ""
    if edit is not None and edit < len(item.suggestions):
        return item.suggestions[edit].text
    return item.standing.output if item.standing and filters.show != "second" else ""


def _pair(item: Item | None, filters: PageFilters, attempt: Attempt | None) -> Pair | None:
    """The two answers to show side by side; None if the item shows its own answer and the right one."""
    if item is None or not item.choices.pairs or (attempt and attempt.output):
        return None
    was_compared = filters.show == "second" and item.standing is not None and item.standing.state == "compared"
    return item.choices.pair if filters.mode == "compare" or was_compared else None


def _links(filters: PageFilters, page: ReviewPage) -> dict[str, Any]:
    item = page.item
    question_id = item.card["question_id"] if item else None
    labels = [(cluster, filters.url(label=cluster.label)) for cluster in page.clusters[: LABELS_SHOWN + MORE_LABELS]]
    return {
        "overview": REVIEW,
        "here": filters.url(item=question_id),
        "every": filters.url(label=()),
        "slices": filters.url(slice=()),
        "labels": labels[:LABELS_SHOWN],
        "more_labels": labels[LABELS_SHOWN:],
        "states": [(state, count, filters.url(show=state)) for state, count in page.states.items()],
        "all": filters.url(show="all"),
        "second": filters.url(show="second"),
        "back": filters.url(item=item.back) if item and item.back else None,
        "next": filters.url(item=item.next) if item and item.next else None,
        "modes": {mode: filters.url(item=question_id, mode=mode) for mode in (None, "compare")},
        "pairs": _pair_links(filters, item) if item else [],
        "edit": [filters.url(item=question_id, edit=n) for n in range(len(item.suggestions))] if item else [],
        "save": filters.url("/corrections"),
        "undo": filters.url("/undo"),
        "lease": filters.url("/lease"),
        "bulk": filters.url("/bulk"),
    }


def _pair_links(filters: PageFilters, item: Item) -> list[str]:
    """To the pair before and after the one that is shown; none if there is one only."""
    count, number = len(item.choices.pairs), item.choices.number
    nearby = ((number - 1) % count, (number + 1) % count) if count > 1 else ()
    return [filters.url(item=item.card["question_id"], pair=other) for other in nearby]


def _said(done: str | None) -> str:
    if done is None:
        return ""
    what, _, count = done.partition("-")
    items = "1 item" if count == "1" else f"{int(count):,} items"
    return f"Took back {items}." if what == "undone" else f"{items} {what}. Undo takes it back."


def _by_script(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
