"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from burnish.errors import UnavailableError
from burnish.ports import ObjectStore

router = APIRouter(tags=["health"])


class HealthBody(BaseModel):
    status: str


class Health:
    """Asks the object store and the database whether they answer."""

    def __init__(self, store: ObjectStore, database: Engine) -> None:
        self._store = store
        self._database = database

    def check(self) -> None:
        """UnavailableError names the part that does not answer."""
        next(iter(self._store.list_folders("runlogs/")), None)
        try:
            with self._database.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise UnavailableError(
                "the curator's database does not answer: check BURNISH_CURATOR_DATABASE_URL"
            ) from error


@router.get("/healthz", summary="The process answers")
def healthz() -> HealthBody:
    return HealthBody(status="ok")


@router.get("/readyz", summary="Object store and database answer")
def readyz(request: Request) -> HealthBody:
    health: Health = request.app.state.health
    health.check()
    return HealthBody(status="ready")
