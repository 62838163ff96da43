"""HTTP calls on evals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.evaluation import EvalManifest
from burnish.service.paging import page_of
from burnish_curator.errors import BODY_RESPONSES, Responses
from burnish_curator.evals.repository import EvalRepository
from burnish_curator.requests import BINARY, JSONL, Paging, in_thread, state

router = APIRouter(prefix="/v1/evals", tags=["evals"])
Evals = Annotated[EvalRepository, Depends(state("evals"))]
OTHER = "application/octet-stream"
BYTES = {"requestBody": {"required": True, "content": {OTHER: {"schema": BINARY}}}}
MEDIA_TYPES = {
    ".jsonl": JSONL,
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}
FILE: Responses = {
    200: {"description": "Its bytes", "content": {kind: {"schema": BINARY} for kind in (*MEDIA_TYPES.values(), OTHER)}}
}
# A report holds text that a model wrote: in a browser it may run its own script but is no part of this site.
SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts", "X-Content-Type-Options": "nosniff"}


class EvalList(Frozen):
    evals: list[EvalManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


@router.put(
    "/{eval_id}/{file}",
    summary="Send a file of an eval",
    status_code=204,
    openapi_extra=BYTES,
    responses=BODY_RESPONSES,
)
async def put_file(eval_id: str, file: str, request: Request, evals: Evals) -> None:
    """May be sent again until the manifest is written."""
    await in_thread(request, lambda chunks: evals.put_file(eval_id, file, chunks))


@router.post("", summary="Seal an eval with its manifest", responses=BODY_RESPONSES)
def create_eval(manifest: EvalManifest, evals: Evals) -> EvalManifest:
    """Every file that it lists must be there with that digest. The same manifest again is no error."""
    return evals.seal(manifest)


@router.get("", summary="List evals, newest first")
def list_evals(evals: Evals, paging: Paging) -> EvalList:
    found, more = page_of(evals.list(goes_on=paging.goes_on), paging.size, paging.token)
    return EvalList(evals=found, broken=found.broken, next_page_token=more)


@router.get("/{eval_id}", summary="An eval's manifest")
def get_eval(eval_id: str, evals: Evals) -> EvalManifest:
    return evals.read(eval_id)


@router.delete("/{eval_id}", summary="Remove an eval", status_code=204)
def remove_eval(eval_id: str, evals: Evals) -> None:
    """Refused while an alias rests on it."""
    evals.remove(eval_id)


@router.get("/{eval_id}/{file}", summary="A file of an eval", response_class=Response, responses=FILE)
def get_file(eval_id: str, file: str, evals: Evals) -> Response:
    media_type = MEDIA_TYPES.get(Path(file).suffix, OTHER)
    return Response(evals.read_file(eval_id, file), media_type=media_type, headers=SANDBOX)
