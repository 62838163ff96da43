"""Routes of the registry: aliases, and what holds or removes an adapter version."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from burnish.registry.references import VERSION
from burnish.schemas.adapter import AdapterManifest, Alias, AliasChange
from burnish.schemas.base import BrokenObject
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish.service.paging import page_of
from burnish_inference.adapters.catalog import unknown_model
from burnish_inference.api.dependencies import Deps, PageSize, PageToken

Version = Annotated[str, Path(description="16 hexadecimal characters")]


class Promotion(BaseModel):
    """override: why this version may answer without a ship verdict; kept with the change."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(description="a version, or `latest`")
    by: str = Field(description="who does it; kept with the change, not proven")
    override: str | None = None


class Withdrawal(BaseModel):
    """Of a rollback or the removal of an alias."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(description="who does it; kept with the change, not proven")
    reason: str | None = None


class AliasList(BaseModel):
    aliases: list[Alias]
    broken: list[BrokenObject] = []


class AliasHistory(BaseModel):
    """Newest first."""

    changes: list[AliasChange]


class HeldBy(BaseModel):
    what: str
    why: str


class AdapterUse(BaseModel):
    """held_by: what rests on the version; one that nothing holds can be removed."""

    adapter: AdapterManifest
    held_by: list[HeldBy]


class AdapterUses(BaseModel):
    versions: list[AdapterUse]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


class RemoteModelList(BaseModel):
    """Newest first."""

    remote_models: list[RemoteModelManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


def build_router(deps: Deps) -> APIRouter:
    router = APIRouter()
    promotions = deps.promotions

    @router.get("/v1/aliases")
    async def aliases() -> AliasList:
        """By name; also those that name no version any more."""
        found = await promotions.aliases()
        return AliasList(aliases=found, broken=found.broken)

    @router.get("/v1/aliases/{name}/{alias}")
    async def history(name: str, alias: str) -> AliasHistory:
        """Every change of an alias, newest first."""
        return AliasHistory(changes=await promotions.history(name, alias))

    @router.post("/v1/aliases/{name}/{alias}/promote")
    async def promote(name: str, alias: str, body: Promotion) -> Alias:
        """Let an alias name a version: one that a stored evaluation ships, or with an override. It is loaded first."""
        return await promotions.promote(name, body.version, alias, body.by, body.override)

    @router.post("/v1/aliases/{name}/{alias}/rollback")
    async def rollback(name: str, alias: str, body: Withdrawal) -> Alias:
        """Return to what the alias named before its last promotion."""
        return await promotions.rollback(name, alias, body.by, body.reason)

    @router.post("/v1/aliases/{name}/{alias}/remove")
    async def remove_alias(name: str, alias: str, body: Withdrawal) -> Alias:
        """Let an alias name no version. Its history stays."""
        return await promotions.remove_alias(name, alias, body.by, body.reason)

    @router.get("/v1/adapter-uses")
    async def uses(
        name: Annotated[str | None, Query(description="only versions of this adapter")] = None,
        page_size: PageSize = None,
        page_token: PageToken = "",
    ) -> AdapterUses:
        """Every version with what holds it, newest first."""
        found = await asyncio.to_thread(deps.catalog.versions, name) if name else await deps.known.pages(page_token)
        found, more = page_of(found, page_size, page_token)
        held = await promotions.holders(found)
        return AdapterUses(
            versions=[
                AdapterUse(adapter=manifest, held_by=[HeldBy(what=holder.what, why=holder.why) for holder in holders])
                for manifest, holders in zip(found, held, strict=True)
            ],
            broken=found.broken,
            next_page_token=more,
        )

    @router.delete("/v1/adapters/{name}/{version}", status_code=204)
    async def remove_adapter(name: str, version: Version) -> None:
        """Remove a version that nothing holds; a version, not an alias, since it cannot be undone."""
        if not VERSION.fullmatch(version):
            raise unknown_model(f"{name}@{version}")
        await promotions.remove(name, version)

    @router.get("/v1/remote-models")
    async def list_remote_models(
        name: Annotated[str | None, Query(description="only versions of this one")] = None,
        page_size: PageSize = None,
        page_token: PageToken = "",
    ) -> RemoteModelList:
        """Tuned models that stay with their providers, which answer there and not here."""
        found, more = page_of(await promotions.remote_models(name), page_size, page_token)
        return RemoteModelList(remote_models=found, broken=found.broken, next_page_token=more)

    @router.get("/v1/remote-models/{name}/{version}")
    async def remote_model(name: str, version: str) -> RemoteModelManifest:
        """version: one, or `latest`."""
        return await promotions.remote_model(name, version)

    @router.delete("/v1/remote-models/{name}/{version}", status_code=204)
    async def remove_remote_model(name: str, version: Version) -> None:
        """Forget a remote model that nothing holds. It stays with its provider."""
        await promotions.remove_remote_model(name, version)

    return router
