"""HTTP calls on the clusterings of a run log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec, Edit
from burnish_curator.clusterings.repository import ClusteringRepository
from burnish_curator.clusterings.service import ClusteringService
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import state

router = APIRouter(prefix="/v1/runlogs/{run_log_id}/clusterings", tags=["clusterings"])
Clusterings = Annotated[ClusteringRepository, Depends(state("clusterings"))]
Service = Annotated[ClusteringService, Depends(state("clustering_service"))]
EDIT_EXAMPLE = {"kind": "merge", "clusters": ["contact-support", "call-our-hotline"], "name": "sends-elsewhere"}


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


@router.get("/{version}", summary="A clustering; `latest` is the newest, which stands")
def get_clustering(run_log_id: str, version: str, clusterings: Clusterings) -> ClusteringManifest:
    return clusterings.find(run_log_id, version)


@router.post("/{version}/edits", summary="Rename, merge or split, as a new version", responses=BODY_RESPONSES)
def edit_clustering(
    run_log_id: str, version: str, service: Service, edit: Annotated[Edit, Body(examples=[EDIT_EXAMPLE])]
) -> ClusteringManifest:
    """Refused if the version is not the newest."""
    return service.edit(run_log_id, version, edit)


@router.delete("/{version}", summary="Remove a clustering; the one before it stands again", status_code=204)
def remove_clustering(run_log_id: str, version: str, clusterings: Clusterings) -> None:
    """Refused while a dataset rests on it. `latest` is not taken: say which version."""
    clusterings.remove(run_log_id, version)
