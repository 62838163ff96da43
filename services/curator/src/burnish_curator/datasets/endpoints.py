"""HTTP calls on datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from burnish.schemas.dataset import DatasetManifest, DatasetSpec, ExportForm
from burnish_curator.datasets.schemas import DatasetList
from burnish_curator.datasets.service import DatasetService
from burnish_curator.uploads import JSONL

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


def _service(request: Request) -> DatasetService:
    service: DatasetService = request.app.state.datasets
    return service


Service = Annotated[DatasetService, Depends(_service)]
SPEC_EXAMPLE = {"name": "fix-json", "run_log_id": "0f3a9c1b2d4e5f60", "labels": ["not-json"], "held_out_share": 0.3}


@router.post("", summary="Build a dataset version")
def build_dataset(spec: Annotated[DatasetSpec, Body(examples=[SPEC_EXAMPLE])], service: Service) -> DatasetManifest:
    """From corrections (and anchors, for sft and kto). Refused where there are no corrections, or where held-out or guarded prompts would be trained on."""
    return service.build(spec)


@router.get("", summary="List dataset versions, newest first")
def list_datasets(service: Service) -> DatasetList:
    return DatasetList(datasets=service.manifests())


@router.get("/{name}", summary="List the versions of one dataset, newest first")
def list_versions(name: str, service: Service) -> DatasetList:
    return DatasetList(datasets=service.manifests(name))


@router.get("/{name}/{version}", summary="A version's manifest; `latest` is the newest")
def get_dataset(name: str, version: str, service: Service) -> DatasetManifest:
    return service.manifest(name, version)


@router.get("/{name}/{version}/export", summary="Rows in another tool's form", response_class=Response)
def export_dataset(
    name: str,
    version: str,
    service: Service,
    form: Annotated[ExportForm, Query(examples=["openai-messages"])],
    split: Literal["train", "validation"] = "train",
) -> Response:
    return Response(service.export(name, version, form, split), media_type=JSONL)
