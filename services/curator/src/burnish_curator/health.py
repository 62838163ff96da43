"""Liveness and readiness. Neither waits for a thread of the pool that requests use."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from burnish.errors import NotFoundError, UnavailableError
from burnish.ports import ObjectStore
from burnish_curator.errors import ERROR_RESPONSES, Responses
from burnish_curator.requests import state

router = APIRouter(tags=["health"])
PROBES_AT_ONCE = 2
PROBED = "readiness"
NOT_READY: Responses = {503: ERROR_RESPONSES[503]}


class HealthBody(BaseModel):
    status: str


class Readiness:
    """Asks object store and database, in threads of its own."""

    def __init__(self, store: ObjectStore, database: Engine) -> None:
        self._store = store
        self._database = database
        self._limiter = anyio.CapacityLimiter(PROBES_AT_ONCE)

    async def check(self) -> None:
        """UnavailableError if one of them does not answer."""
        await anyio.to_thread.run_sync(self._check, limiter=self._limiter)

    def _check(self) -> None:
        with suppress(
            NotFoundError
        ):  # one read of a key that need not be there: as cheap in a large bucket as in a small one
            self._store.get(PROBED)
        try:
            with self._database.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise UnavailableError(
                "the curator's database does not answer: check BURNISH_CURATOR_DATABASE_URL"
            ) from error


@router.get("/healthz", summary="The process answers")
async def healthz() -> HealthBody:
    return HealthBody(status="ok")


@router.get("/readyz", summary="Object store and database answer", responses=NOT_READY)
async def readyz(readiness: Annotated[Readiness, Depends(state("readiness"))]) -> HealthBody:
    await readiness.check()
    return HealthBody(status="ready")
