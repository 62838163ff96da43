"""HTTP calls on reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from burnish.curation.review.items import Prefill
from burnish.schemas.base import Frozen, StorableText
from burnish.schemas.review import MOST_EVENTS, ReviewDecision, ReviewEvent, ReviewProgress, ReviewState
from burnish.schemas.runlog import ReviewImport
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, in_thread, jsonl_answer, jsonl_body, state
from burnish_curator.reviews.deciding import Filters, QueueService
from burnish_curator.reviews.service import ReviewService

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/review", tags=["review"])
Service = Annotated[ReviewService, Depends(state("reviews"))]
QueuePart = Annotated[QueueService, Depends(state("review_queue"))]
Author = Annotated[StorableText, Query(max_length=100, description="who decided", examples=["mia"])]


@router.get("", summary="The review file", response_class=Response, responses=jsonl_answer("ReviewItem"))
def export_review(
    run_log_id: str,
    service: Service,
    label: Annotated[list[StorableText] | None, Query(examples=[["not-json"]])] = None,
    slice: Annotated[list[StorableText] | None, Query(examples=[["billing"]])] = None,
    prefill: Prefill | None = None,
    state: Annotated[list[ReviewState] | None, Query(examples=[["open"]])] = None,
) -> Response:
    """JSONL of ReviewItem, one a question; no label: those of every candidate cluster; no slice or state: all. Existing corrections are filled in.

    Where nothing was decided, `prefill=expected` fills in the run log's expected answer, `suggestion` a teacher's that its grader passes,
    and `any-suggestion` also one that nothing has graded.
    """
    blocks = service.export(run_log_id, label or [], slice or [], prefill, state or [])
    return StreamingResponse(blocks, media_type=JSONL)


@router.post("", summary="Decisions in", openapi_extra=jsonl_body("ReviewItem"), responses=BODY_RESPONSES)
async def import_review(run_log_id: str, request: Request, service: Service, author: Author = "") -> ReviewImport:
    """Keeps every good decision and names each refused line; so is one whose `version` is not what stands now, unless the author decided that.

    Without a version, the newest decision of a question replaces the others.
    """
    return await in_thread(request, lambda chunks: service.import_review(run_log_id, chunks, author))


@router.post("/decisions", summary="Decide about one question", responses=BODY_RESPONSES)
def decide(run_log_id: str, decision: ReviewDecision, queue: QueuePart, second: bool = False) -> ReviewEvent:
    """Answers 409, naming who and when, if another event than `version` stands. `second`: an opinion about what another person decided."""
    return queue.decide(run_log_id, decision, second=second)


class Undo(Frozen):
    author: StorableText


class Undone(Frozen):
    """left: questions that somebody else decided about since, which stay as they are."""

    questions: int
    left: int


@router.post("/undo", summary="Take back an author's newest action", responses=BODY_RESPONSES)
def undo(run_log_id: str, body: Undo, queue: QueuePart) -> Undone:
    done = queue.undo(run_log_id, body.author)
    return Undone(questions=len(done.events), left=len(done.conflicts))


class ReviewHistory(Frozen):
    """next_before: what to ask for as `before` for the next page."""

    events: list[ReviewEvent]
    next_before: int | None


@router.get("/history", summary="What was decided, newest first")
def get_history(
    run_log_id: str,
    queue: QueuePart,
    question_id: StorableText | None = None,
    before: Annotated[int | None, Query(ge=1, le=MOST_EVENTS)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ReviewHistory:
    """Of one question, or of all."""
    events = queue.history(run_log_id, question_id, before, limit)
    return ReviewHistory(events=events, next_before=events[-1].sequence if len(events) == limit else None)


@router.get("/progress", summary="Where a review stands")
def get_progress(
    run_log_id: str,
    queue: QueuePart,
    label: Annotated[list[StorableText] | None, Query(examples=[["not-json"]])] = None,
    slice: Annotated[list[StorableText] | None, Query(examples=[["billing"]])] = None,
) -> ReviewProgress:
    """Questions by state, in these labels and slices (none: all); effort and agreement are of the whole run log."""
    return queue.progress(Filters(run_log_id, tuple(label or ()), tuple(slice or ())))


class ReviewRemoval(Frozen):
    removed: int


@router.delete("", summary="Remove the review of a run log")
def remove_review(run_log_id: str, service: Service) -> ReviewRemoval:
    """With its history; answers how many corrections it had. Refused while a dataset was built from them."""
    return ReviewRemoval(removed=service.remove(run_log_id))
