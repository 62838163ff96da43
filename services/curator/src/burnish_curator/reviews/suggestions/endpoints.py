"""HTTP calls on suggestions."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from burnish.schemas.base import Frozen, StorableText
from burnish.schemas.review import ReviewState, SuggestionRemoval, SuggestionTeacher
from burnish.schemas.runlog import SuggestionImport
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, in_thread, jsonl_answer, jsonl_body, state
from burnish_curator.reviews.deciding import Filters
from burnish_curator.reviews.suggestions.service import SuggestionService

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/review", tags=["review"])
Service = Annotated[SuggestionService, Depends(state("suggestions"))]


class TeacherList(Frozen):
    teachers: list[SuggestionTeacher]


@router.get(
    "/prompts", summary="What a teacher can be asked", response_class=Response, responses=jsonl_answer("ReviewPrompt")
)
def get_prompts(
    run_log_id: str,
    service: Service,
    label: Annotated[list[StorableText] | None, Query(examples=[["not-json"]])] = None,
    slice: Annotated[list[StorableText] | None, Query(examples=[["billing"]])] = None,
    state: ReviewState | Literal["all"] = "open",
    model: Annotated[
        StorableText | None, Query(description="with host: leave out what this teacher has answered")
    ] = None,
    host: StorableText | None = None,
    again: Annotated[bool, Query(description="leave out nothing")] = False,
    limit: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """JSONL of ReviewPrompt in the order of the review queue; no label or slice: all. Those with a `problem` do not count for `limit`."""
    filters = Filters(run_log_id, tuple(label or ()), tuple(slice or ()), state)
    return StreamingResponse(service.prompts(filters, model, host, limit, again=again), media_type=JSONL)


@router.post(
    "/suggestions",
    summary="A teacher's answers in",
    openapi_extra=jsonl_body("TeacherAnswer"),
    responses=BODY_RESPONSES,
)
async def keep_suggestions(
    run_log_id: str,
    request: Request,
    service: Service,
    benchmark: Annotated[
        StorableText | None, Query(description="name/version: its graders go before the run log's")
    ] = None,
    grader: Annotated[
        StorableText | None, Query(description="for lines without a grader that have an expected answer")
    ] = None,
) -> SuggestionImport:
    """Grades each and keeps it as a suggestion, in place of what the same teacher answered before; decides nothing. Bad lines are named."""
    return await in_thread(request, lambda chunks: service.keep(run_log_id, chunks, benchmark, grader))


@router.get(
    "/suggestions",
    summary="Suggestions, with who gave them",
    response_class=Response,
    responses=jsonl_answer("TeacherSuggestion"),
)
def get_suggestions(
    run_log_id: str,
    service: Service,
    question_id: Annotated[list[StorableText] | None, Query(description="no question: of all")] = None,
) -> Response:
    """JSONL of TeacherSuggestion, by question, those that passed first."""
    return StreamingResponse(service.kept(run_log_id, question_id), media_type=JSONL)


@router.get("/teachers", summary="Who suggested how much")
def get_teachers(run_log_id: str, service: Service) -> TeacherList:
    """Every model and host with suggestions, by grade, and how many of them a correction has word for word."""
    return TeacherList(teachers=service.teachers(run_log_id))


@router.delete("/suggestions", summary="Remove a teacher's suggestions")
def remove_suggestions(
    run_log_id: str,
    service: Service,
    model: Annotated[StorableText, Query(examples=["big-model"])],
    host: Annotated[StorableText | None, Query(description="default: on all hosts")] = None,
) -> SuggestionRemoval:
    """They are shown and taken no more, and the teacher is asked again. Corrections stay, and say whose their text is."""
    return service.remove(run_log_id, model, host)
