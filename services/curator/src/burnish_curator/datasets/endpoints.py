"""HTTP calls on datasets."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Response

from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.dataset import DatasetManifest, DatasetSpec, ExportForm
from burnish.service.paging import page_of
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.datasets.service import DatasetService
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import JSONL, Paging, jsonl_answer, state

ZIP = "application/zip"
router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
Datasets = Annotated[DatasetRepository, Depends(state("datasets"))]
SPEC_EXAMPLE = {"name": "fix-json", "run_log_id": "0f3a9c1b2d4e5f60", "labels": ["not-json"], "held_out_share": 0.3}


class DatasetList(Frozen):
    datasets: list[DatasetManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


@router.post("", summary="Build a dataset version", responses=BODY_RESPONSES)
def build_dataset(
    spec: Annotated[DatasetSpec, Body(examples=[SPEC_EXAMPLE])],
    service: Annotated[DatasetService, Depends(state("dataset_service"))],
) -> DatasetManifest:
    """From corrections (and anchor examples, for sft and kto). Refused if there are no corrections, or if held-out or guarded prompts would be trained on."""
    return service.build(spec)


@router.get("", summary="List dataset versions, newest first")
def list_datasets(datasets: Datasets, paging: Paging) -> DatasetList:
    found, more = page_of(datasets.list(goes_on=paging.goes_on), paging.size, paging.token)
    return DatasetList(datasets=found, broken=found.broken, next_page_token=more)


@router.get("/{name}", summary="List the versions of one dataset, newest first")
def list_versions(name: str, datasets: Datasets, paging: Paging) -> DatasetList:
    found, more = page_of(datasets.list(name, paging.goes_on), paging.size, paging.token)
    return DatasetList(datasets=found, broken=found.broken, next_page_token=more)


@router.get("/{name}/{version}", summary="A version's manifest; `latest` is the newest")
def get_dataset(name: str, version: str, datasets: Datasets) -> DatasetManifest:
    return datasets.find(name, version)


@router.delete("/{name}/{version}", summary="Remove a dataset version", status_code=204)
def remove_dataset(name: str, version: str, datasets: Datasets) -> None:
    """Refused while an adapter or an eval rests on it. `latest` is not taken: say which version."""
    datasets.remove(name, version)


@router.get(
    "/{name}/{version}/left-out",
    summary="What was left out of the rows, masked or doubted, and why",
    response_class=Response,
    responses=jsonl_answer("LeftOut"),
)
def left_out(name: str, version: str, datasets: Datasets) -> Response:
    """A line a question. Empty if every question that failed under the labels is trained on or held out."""
    return Response(datasets.left_out(name, version), media_type=JSONL)


@router.get(
    "/{name}/{version}/export",
    summary="Rows in another tool's form",
    response_class=Response,
    responses=jsonl_answer("row"),
)
def export_dataset(
    name: str,
    version: str,
    datasets: Datasets,
    form: Annotated[ExportForm, Query(examples=["openai-messages"])],
    split: Literal["train", "validation"] = "train",
) -> Response:
    return Response(datasets.export(name, version, form, split), media_type=JSONL)


@router.get(
    "/{name}/{version}/folder",
    summary="A version as a folder of Parquet, in a zip",
    response_class=Response,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
def export_folder(name: str, version: str, datasets: Datasets) -> Response:
    """README.md with YAML, data/{train,validation}-*.parquet and croissant.json: what `datasets.load_dataset` and Croissant's readers open."""
    return Response(datasets.folder(name, version), media_type=ZIP)
