"""HTTP calls on run logs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from burnish.errors import NotFoundError
from burnish.runlogs.columns import LINE_NUMBER
from burnish.runlogs.ingestion import meanings
from burnish.runlogs.reader import jsonl_blocks
from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.runlog import Diagnosis, RunLogImport, RunLogLine, RunLogManifest
from burnish.service.paging import page_of
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, Paging, in_thread, jsonl_answer, jsonl_body, state
from burnish_curator.reviews.service import ReviewService
from burnish_curator.runlogs.repository import RunLogRepository

router = APIRouter(prefix="/v1/runlogs", tags=["run logs"])
RunLogs = Annotated[RunLogRepository, Depends(state("run_logs"))]
MOST_VALUES = 100  # of one filter
LineNumber = Annotated[int, Field(ge=1, lt=2**63)]


class RunLogList(Frozen):
    runlogs: list[RunLogManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


class RunLogRows(Frozen):
    """A page of rows in the order of the file; total: rows that match the filters. line_numbers: of each, in the file that was imported."""

    rows: list[RunLogLine]
    total: int
    line_numbers: list[int] = []


@router.post("", summary="Import a run log", openapi_extra=jsonl_body("RunLogLine"), responses=BODY_RESPONSES)
async def import_run_log(
    request: Request,
    run_logs: RunLogs,
    name: Annotated[str, Query(examples=["support-week-12"])],
    grade: Annotated[list[str] | None, Query(examples=[["good=correct", "n/a=ungraded"]])] = None,
    parent: Annotated[str | None, Query(examples=["0123456789abcdef"])] = None,
) -> RunLogImport:
    """Stream JSONL in. Good lines are kept, bad ones reported with number and reason; the same lines are the same run log.

    `parent` is the run log that the lines were made from. A grade that is no known word stops the import, unless `grade=<word>=<known word>` says what it means.
    """
    grades = meanings(grade or [])
    return await in_thread(request, lambda chunks: run_logs.ingest(name, chunks, grades, parent), run_logs.imports)


@router.get("", summary="List run logs, newest first")
def list_run_logs(run_logs: RunLogs, paging: Paging) -> RunLogList:
    found, more = page_of(run_logs.list(goes_on=paging.goes_on), paging.size, paging.token)
    return RunLogList(runlogs=found, broken=found.broken, next_page_token=more)


@router.get("/{run_log_id}", summary="A run log's manifest")
def get_run_log(run_log_id: str, run_logs: RunLogs) -> RunLogManifest:
    return run_logs.read(run_log_id)


@router.delete("/{run_log_id}", summary="Remove a run log, its corrections and clusterings", status_code=204)
def remove_run_log(
    run_log_id: str,
    run_logs: RunLogs,
    reviews: Annotated[ReviewService, Depends(state("reviews"))],
    clusterings: Annotated[ClusteringRepository, Depends(state("clusterings"))],
) -> None:
    """Refused while a dataset rests on it."""
    try:
        run_logs.remove(run_log_id)
    except NotFoundError:
        if not reviews.forget(run_log_id) + clusterings.remove_all(run_log_id):  # else this ends an interrupted removal
            raise
    reviews.forget(run_log_id)
    clusterings.remove_all(run_log_id)


@router.get("/{run_log_id}/rows", summary="Rows, by failure label and grade")
def get_rows(
    run_log_id: str,
    run_logs: RunLogs,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
    label: Annotated[str | None, Query(examples=["not-json"])] = None,
    grade: Annotated[str | None, Query(examples=["wrong"])] = None,
    question: Annotated[list[str] | None, Query(max_length=MOST_VALUES, examples=[["q17"]])] = None,
    line: Annotated[list[LineNumber] | None, Query(max_length=MOST_VALUES, examples=[[12]])] = None,
    trace: Annotated[str | None, Query(examples=["4bf92f3577b34da6a3ce929d0e0e4736"])] = None,
    user: Annotated[str | None, Query(examples=["user-7"])] = None,
) -> RunLogRows:
    """`question` and `line` (a number in the imported file) may be repeated; a row has one of each."""
    log = run_logs.open(run_log_id)
    found = log.find(
        label,
        grade,
        question_id=question,
        line_number=line,
        trace_id=None if trace is None else [trace],
        user_id=None if user is None else [user],
    )
    shown = found[offset : offset + limit]
    numbers = log.reader.table(shown, [LINE_NUMBER])[LINE_NUMBER].to_pylist()
    return RunLogRows(rows=list(log.reader.lines(shown)), total=len(found), line_numbers=numbers)


@router.get(
    "/{run_log_id}/lines",
    summary="Every row, as lines that can be imported",
    response_class=StreamingResponse,
    responses=jsonl_answer("RunLogLine"),
)
def get_lines(run_log_id: str, run_logs: RunLogs) -> StreamingResponse:
    """JSONL of RunLogLine, in the order of the file."""
    return StreamingResponse(jsonl_blocks(run_logs.open(run_log_id, None).reader), media_type=JSONL)


@router.get(
    "/{run_log_id}/rejected",
    summary="Every refused line",
    response_class=Response,
    responses=jsonl_answer("RejectedLine"),
)
def get_rejected(run_log_id: str, run_logs: RunLogs) -> Response:
    """JSONL of RejectedLine; the manifest shows the first 100."""
    return Response(run_logs.rejected(run_log_id), media_type=JSONL)


@router.get("/{run_log_id}/diagnosis", summary="Model-attributed failures, clustered")
def get_diagnosis(
    run_log_id: str, run_logs: RunLogs, slice: Annotated[list[str] | None, Query(examples=[["billing"]])] = None
) -> Diagnosis:
    """Of all runs, or of those of some slices (`(none)`: runs without one)."""
    log = run_logs.open(run_log_id)
    return log.diagnosis_of(slice) if slice else log.diagnosis
