"""HTTP calls on reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from burnish.curation.review import Prefill
from burnish.schemas.base import Frozen
from burnish.schemas.runlog import ReviewImport
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, in_thread, jsonl_answer, jsonl_body, state
from burnish_curator.reviews.service import ReviewService

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/review", tags=["review"])
Service = Annotated[ReviewService, Depends(state("reviews"))]


@router.get("", summary="The review file", response_class=Response, responses=jsonl_answer("ReviewItem"))
def export_review(
    run_log_id: str,
    service: Service,
    label: Annotated[list[str] | None, Query(examples=[["not-json"]])] = None,
    slice: Annotated[list[str] | None, Query(examples=[["billing"]])] = None,
    prefill: Prefill | None = None,
) -> Response:
    """JSONL of ReviewItem, one a question; no label: those of every candidate cluster; no slice: all. Existing corrections are filled in.

    `prefill=expected` fills in the run log's expected answer if there is no correction.
    """
    return Response(service.export(run_log_id, label or [], slice or [], prefill), media_type=JSONL)


@router.post("", summary="Corrections in", openapi_extra=jsonl_body("ReviewItem"), responses=BODY_RESPONSES)
async def import_review(run_log_id: str, request: Request, service: Service) -> ReviewImport:
    """Keeps every good correction and names each refused line. The newest correction of a question replaces the others."""
    return await in_thread(request, lambda chunks: service.import_review(run_log_id, chunks))


class ReviewRemoval(Frozen):
    removed: int


@router.delete("", summary="Remove every correction of a run log")
def remove_review(run_log_id: str, service: Service) -> ReviewRemoval:
    """Refused while a dataset was built from them."""
    return ReviewRemoval(removed=service.remove(run_log_id))
