"""HTTP calls on evals."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from burnish.schemas.evaluation import EvalManifest
from burnish_curator.evals.schemas import EvalList
from burnish_curator.evals.service import EvalService
from burnish_curator.uploads import in_thread

router = APIRouter(prefix="/v1/evals", tags=["evals"])
# A report holds text that a model wrote: in a browser it may run its own script but is no part of this site.
SANDBOX = {"Content-Security-Policy": "sandbox allow-scripts", "X-Content-Type-Options": "nosniff"}


def _service(request: Request) -> EvalService:
    service: EvalService = request.app.state.evals
    return service


Service = Annotated[EvalService, Depends(_service)]
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.put("/{eval_id}/{file}", summary="Send a file of an eval", status_code=204, openapi_extra=BYTES)
async def put_file(eval_id: str, file: str, request: Request, service: Service) -> None:
    """May be sent again until the manifest is written."""
    await in_thread(request, lambda chunks: service.put_file(eval_id, file, chunks))


@router.post("", summary="Seal an eval with its manifest")
def create_eval(manifest: EvalManifest, service: Service) -> EvalManifest:
    """Every file that it lists must be there with that digest. The same manifest again is no error."""
    return service.create(manifest)


@router.get("", summary="List evals, newest first")
def list_evals(service: Service) -> EvalList:
    return EvalList(evals=service.manifests())


@router.get("/{eval_id}", summary="An eval's manifest")
def get_eval(eval_id: str, service: Service) -> EvalManifest:
    return service.manifest(eval_id)


@router.get("/{eval_id}/{file}", summary="A file of an eval", response_class=Response)
def get_file(eval_id: str, file: str, service: Service) -> Response:
    return Response(service.file(eval_id, file), media_type=service.media_type(file), headers=SANDBOX)
