"""Liveness and readiness."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from burnish.errors import UnavailableError
from burnish.ports import ObjectStore
from burnish_curator.requests import state

router = APIRouter(tags=["health"])


class HealthBody(BaseModel):
    status: str


@router.get("/healthz", summary="The process answers")
def healthz() -> HealthBody:
    return HealthBody(status="ok")


@router.get("/readyz", summary="Object store and database answer")
def readyz(
    store: Annotated[ObjectStore, Depends(state("store"))], database: Annotated[Engine, Depends(state("database"))]
) -> HealthBody:
    next(iter(store.list_folders("runlogs/")), None)
    try:
        with database.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise UnavailableError("the curator's database does not answer: check BURNISH_CURATOR_DATABASE_URL") from error
    return HealthBody(status="ready")
