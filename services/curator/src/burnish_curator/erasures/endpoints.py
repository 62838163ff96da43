"""HTTP calls on erasures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from burnish.schemas.base import BrokenObject, Frozen
from burnish.schemas.erasure import Erasure, ErasureRequest
from burnish.service.paging import page_of
from burnish_curator.erasures.service import ErasureService
from burnish_curator.errors import BODY_RESPONSES
from burnish_curator.requests import Paging, state

router = APIRouter(prefix="/v1/erasures", tags=["erasures"])
Erasures = Annotated[ErasureService, Depends(state("erasures"))]
EXAMPLE = {"user": "user-7", "preview": True}


class ErasureList(Frozen):
    erasures: list[Erasure]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


@router.post("", summary="Erase a user's lines, or single ones", responses=BODY_RESPONSES)
def erase(wanted: Annotated[ErasureRequest, Body(examples=[EXAMPLE])], erasures: Erasures) -> Erasure:
    """Everywhere: run logs, traces that wait, reviews, datasets, stored answers. There is no undoing. `preview` only says what would go."""
    return erasures.erase(wanted)


@router.get("", summary="List erasures, newest first")
def list_erasures(erasures: Erasures, paging: Paging) -> ErasureList:
    found, more = page_of(erasures.records.list(), paging.size, paging.token)
    return ErasureList(erasures=found, broken=found.broken, next_page_token=more)


@router.get("/{erasure_id}", summary="The record of an erasure; `open` is the one that has not ended")
def get_erasure(erasure_id: str, erasures: Erasures) -> Erasure:
    return erasures.records.read(erasure_id)
