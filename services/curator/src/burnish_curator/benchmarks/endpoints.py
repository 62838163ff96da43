"""HTTP calls on benchmarks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from burnish.schemas.benchmark import BenchmarkManifest
from burnish_curator.benchmarks.schemas import BenchmarkList
from burnish_curator.benchmarks.service import BenchmarkService
from burnish_curator.uploads import JSONL, in_thread, jsonl_body

router = APIRouter(prefix="/v1/benchmarks", tags=["benchmarks"])


def _service(request: Request) -> BenchmarkService:
    service: BenchmarkService = request.app.state.benchmarks
    return service


Service = Annotated[BenchmarkService, Depends(_service)]


@router.post("", summary="Import a benchmark", openapi_extra=jsonl_body("BenchmarkQuestion"))
async def import_benchmark(
    request: Request, service: Service, name: Annotated[str, Query(examples=["stdlib"])]
) -> BenchmarkManifest:
    """A benchmark must be whole: a bad line, a question id given twice or an unknown grader refuses the file, by line number."""
    return await in_thread(request, lambda chunks: service.import_benchmark(name, chunks))


@router.get("", summary="List benchmarks, newest first")
def list_benchmarks(service: Service) -> BenchmarkList:
    return BenchmarkList(benchmarks=service.manifests())


@router.get("/{name}/{version}", summary="A benchmark's manifest; `latest` is the newest")
def get_benchmark(name: str, version: str, service: Service) -> BenchmarkManifest:
    return service.manifest(name, version)


@router.get("/{name}/{version}/questions", summary="Its questions", response_class=Response)
def get_questions(name: str, version: str, service: Service) -> Response:
    """JSONL of BenchmarkQuestion."""
    return Response(service.questions_jsonl(name, version), media_type=JSONL)
