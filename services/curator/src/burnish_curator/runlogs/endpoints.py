"""HTTP calls on run logs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogManifest
from burnish_curator.runlogs.schemas import RunLogList, RunLogRows
from burnish_curator.runlogs.service import RunLogService
from burnish_curator.uploads import JSONL, in_thread, jsonl_body

router = APIRouter(prefix="/v1/runlogs", tags=["run logs"])


def _service(request: Request) -> RunLogService:
    service: RunLogService = request.app.state.run_logs
    return service


Service = Annotated[RunLogService, Depends(_service)]


@router.post("", summary="Import a run log", openapi_extra=jsonl_body("RunLogLine"))
async def import_run_log(
    request: Request, service: Service, name: Annotated[str, Query(examples=["support-week-12"])]
) -> RunLogImport:
    """Stream JSONL in. Good lines are kept, bad ones reported with number and reason; the same lines are the same run log."""
    return await in_thread(request, lambda chunks: service.import_run_log(name, chunks), service.imports)


@router.get("", summary="List run logs, newest first")
def list_run_logs(service: Service) -> RunLogList:
    return RunLogList(runlogs=service.manifests())


@router.get("/{run_log_id}", summary="A run log's manifest")
def get_run_log(run_log_id: str, service: Service) -> RunLogManifest:
    return service.manifest(run_log_id)


@router.get("/{run_log_id}/rows", summary="Rows, by failure label and grade")
def get_rows(
    run_log_id: str,
    service: Service,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
    label: Annotated[str | None, Query(examples=["not-json"])] = None,
    grade: Annotated[str | None, Query(examples=["wrong"])] = None,
) -> RunLogRows:
    return service.rows(run_log_id, offset, limit, label, grade)


@router.get("/{run_log_id}/rejected", summary="Every refused line", response_class=Response)
def get_rejected(run_log_id: str, service: Service) -> Response:
    """JSONL of RejectedLine; the manifest shows the first 100."""
    return Response(service.rejected(run_log_id), media_type=JSONL)


@router.get("/{run_log_id}/diagnosis", summary="Model-attributed failures, clustered")
def get_diagnosis(run_log_id: str, service: Service) -> Diagnosis:
    return service.diagnosis(run_log_id)
