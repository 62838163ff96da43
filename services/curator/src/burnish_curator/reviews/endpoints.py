"""HTTP calls on reviews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from burnish.schemas.runlog import ReviewImport
from burnish_curator.reviews.service import ReviewService
from burnish_curator.uploads import JSONL, in_thread, jsonl_body

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/review", tags=["review"])


def _service(request: Request) -> ReviewService:
    service: ReviewService = request.app.state.reviews
    return service


Service = Annotated[ReviewService, Depends(_service)]


@router.get("", summary="The review file", response_class=Response)
def export_review(
    run_log_id: str, service: Service, label: Annotated[list[str] | None, Query(examples=[["not-json"]])] = None
) -> Response:
    """JSONL of ReviewItem, one a question; no label: those of every candidate cluster. Standing corrections are filled in."""
    return Response(service.export(run_log_id, label or []), media_type=JSONL)


@router.post("", summary="Corrections in", openapi_extra=jsonl_body("ReviewItem"))
async def import_review(run_log_id: str, request: Request, service: Service) -> ReviewImport:
    """Keeps every good correction and names each refused line; the newest correction of a question stands."""
    return await in_thread(request, lambda chunks: service.import_review(run_log_id, chunks))
