"""HTTP calls on the clusterings of a run log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.clustering import MOST_SEED, ClusteringManifest, ClusteringSpec, Edit, Printable
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.clusterings.service import ClusteringService
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, in_thread, jsonl_answer, jsonl_body, state

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/clusterings", tags=["clusterings"])
Clusterings = Annotated[ClusteringRepository, Depends(state("clusterings"))]
Service = Annotated[ClusteringService, Depends(state("clustering_service"))]
EDIT_EXAMPLE = {"kind": "merge", "clusters": ["contact-support", "call-our-hotline"], "name": "sends-elsewhere"}


VECTOR_BYTES = 1 << 30  # they are in memory together


class ClusteringList(Frozen):
    clusterings: list[ClusteringManifest]
    broken: list[BrokenObject] = []


@router.post("", summary="Cluster the failures that have no label", responses=BODY_RESPONSES)
def make_clustering(
    run_log_id: str, service: Service, spec: Annotated[ClusteringSpec, Body(examples=[{"labels": ["wrong"]}])]
) -> ClusteringManifest:
    """The newest clustering of a run log stands: its names are the failure labels of its rows. Answered when it is done."""
    return service.make(run_log_id, spec)


@router.get("", summary="List a run log's clusterings, newest first")
def list_clusterings(run_log_id: str, clusterings: Clusterings) -> ClusteringList:
    found = clusterings.list(run_log_id)
    return ClusteringList(clusterings=found, broken=found.broken)


Seed = Annotated[int, Query(ge=0, le=MOST_SEED)]
Labels = Annotated[list[Printable] | None, Query(examples=[["wrong"]])]


@router.get(
    "/texts",
    summary="The texts that another embedder has to give vectors to",
    response_class=Response,
    responses=jsonl_answer("{text}"),
)
def get_texts(run_log_id: str, service: Service, label: Labels = None, seed: Seed = 0) -> Response:
    """Answers without the words of their topics, each once."""
    return Response(service.texts(run_log_id, ClusteringSpec(labels=label or [], seed=seed)), media_type=JSONL)


@router.post(
    "/embedded",
    summary="Cluster by vectors of another embedder",
    openapi_extra=jsonl_body("{text, vector: base64 of float16}"),
    responses=BODY_RESPONSES,
)
async def make_embedded(
    request: Request,
    run_log_id: str,
    service: Service,
    embedder: Annotated[str, Query(min_length=1, max_length=200, examples=["text-embedding-3-small"])],
    label: Labels = None,
    seed: Seed = 0,
) -> ClusteringManifest:
    """The vectors of every text of `/texts`, for the same labels and seed. Topics are found by the curator's own embedder."""
    spec = ClusteringSpec(labels=label or [], seed=seed)
    return await in_thread(
        request, lambda chunks: service.embedded(run_log_id, spec, embedder, chunks), limit_bytes=VECTOR_BYTES
    )


@router.get("/{version}", summary="A clustering; `latest` is the newest, which stands")
def get_clustering(run_log_id: str, version: str, clusterings: Clusterings) -> ClusteringManifest:
    return clusterings.find(run_log_id, version)


@router.post(
    "/{version}/edits", summary="Rename, merge, split, or propose names, as a new version", responses=BODY_RESPONSES
)
def edit_clustering(
    run_log_id: str, version: str, service: Service, edit: Annotated[Edit, Body(examples=[EDIT_EXAMPLE])]
) -> ClusteringManifest:
    """Refused if the version is not the newest."""
    return service.edit(run_log_id, version, edit)


@router.delete("/{version}", summary="Remove a clustering; the one before it stands again", status_code=204)
def remove_clustering(run_log_id: str, version: str, clusterings: Clusterings) -> None:
    """Refused while a dataset rests on it. `latest` is not taken: say which version."""
    clusterings.remove(run_log_id, version)
