"""HTTP calls on benchmarks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from burnish import layout
from burnish.curation.benchmarks.building import build_benchmark
from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.benchmark import BenchmarkManifest
from burnish.service.paging import page_of
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, Paging, in_thread, jsonl_answer, jsonl_body, state

router = APIRouter(prefix="/v1/benchmarks", tags=["benchmarks"])
Benchmarks = Annotated[BenchmarkRepository, Depends(state("benchmarks"))]


class BenchmarkList(Frozen):
    benchmarks: list[BenchmarkManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


@router.post("", summary="Import a benchmark", openapi_extra=jsonl_body("BenchmarkQuestion"), responses=BODY_RESPONSES)
async def import_benchmark(
    request: Request, benchmarks: Benchmarks, name: Annotated[str, Query(examples=["stdlib"])]
) -> BenchmarkManifest:
    """A benchmark must be whole. A bad line, a question id given twice or an unknown grader refuses the file, by line number."""
    layout.check_name(name, "name")
    return await in_thread(request, lambda chunks: benchmarks.save(build_benchmark(chunks, name)))


@router.get("", summary="List benchmarks, newest first")
def list_benchmarks(benchmarks: Benchmarks, paging: Paging) -> BenchmarkList:
    found, more = page_of(benchmarks.list(goes_on=paging.goes_on), paging.size, paging.token)
    return BenchmarkList(benchmarks=found, broken=found.broken, next_page_token=more)


@router.get("/{name}/{version}", summary="A benchmark's manifest; `latest` is the newest")
def get_benchmark(name: str, version: str, benchmarks: Benchmarks) -> BenchmarkManifest:
    return benchmarks.find(name, version)


@router.delete("/{name}/{version}", summary="Remove a benchmark version", status_code=204)
def remove_benchmark(name: str, version: str, benchmarks: Benchmarks) -> None:
    """Refused while a dataset or an eval rests on it. `latest` is not taken: say which version."""
    benchmarks.remove(name, version)


@router.get(
    "/{name}/{version}/questions",
    summary="Its questions",
    response_class=Response,
    responses=jsonl_answer("BenchmarkQuestion"),
)
def get_questions(name: str, version: str, benchmarks: Benchmarks) -> Response:
    """JSONL of BenchmarkQuestion."""
    return Response(benchmarks.questions_jsonl(name, version), media_type=JSONL)
