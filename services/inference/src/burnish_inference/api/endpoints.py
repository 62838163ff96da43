"""Routes, and the bodies they answer with. Only these are reachable: nothing else of vLLM is passed on."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from burnish.errors import InvalidInputError, NotFoundError
from burnish.layout import PRODUCTION
from burnish.schemas.adapter import AdapterManifest, Alias
from burnish.schemas.base import BrokenObject
from burnish.service.paging import page_of
from burnish.telemetry.metrics import CONTENT_TYPE
from burnish.telemetry.requests import CLIENT_GONE
from burnish_inference.api import schema
from burnish_inference.api.dependencies import Deps, PageSize, PageToken
from burnish_inference.api.proxy import ClientGone, until_gone
from burnish_inference.limits import CHAT, TEXT

VERSION_HEADER = "x-burnish-adapter-version"
TOKEN = HTTPBearer(scheme_name="token", auto_error=False)  # for the schema: TokenCheck has looked at it before


class ModelCard(BaseModel):
    """root: the base model's name; parent: the same for an adapter, None for the base; version: what an alias names."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "burnish"
    root: str
    parent: str | None = None
    version: str | None = None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class AdapterList(BaseModel):
    adapters: list[AdapterManifest]
    broken: list[BrokenObject] = []
    next_page_token: str = ""


class Health(BaseModel):
    status: str


def build_router(deps: Deps) -> APIRouter:
    health, router = APIRouter(), APIRouter(dependencies=[Depends(TOKEN)], responses=schema.ERRORS)

    @health.get("/healthz")
    async def healthz() -> Health:
        """The server is up; says nothing about the engine."""
        return Health(status="ok")

    @health.get("/health", responses=schema.NOT_READY)  # vLLM's own name for it, which tools that know vLLM ask for
    @health.get("/readyz", responses=schema.NOT_READY)
    async def readyz() -> Health:
        """200 when vLLM answers; 503 with its state while it starts or restarts, or while a job has its device."""
        deps.gate.check()
        _ = deps.engine.url
        return Health(status="ready")

    @router.get("/metrics", response_class=Response, responses=schema.METRICS)
    async def metrics() -> Response:
        """Ours and vLLM's, in Prometheus's text format."""
        return Response(await deps.metrics.page(deps.engine, deps.upstream), media_type=CONTENT_TYPE)

    @router.post("/v1/chat/completions", response_class=Response, **schema.completion("chat"))
    async def chat_completions(request: Request) -> Response:
        """OpenAI chat completions; `model` is the base, an adapter (its production alias), adapter@latest, adapter@version or adapter@alias."""
        return await complete(deps, request, CHAT)

    @router.post("/v1/completions", response_class=Response, **schema.completion("text"))
    async def completions(request: Request) -> Response:
        """OpenAI completions; `model` as for chat."""
        return await complete(deps, request, TEXT)

    @router.get("/v1/models")
    async def models() -> ModelList:
        """Bare names, which are production aliases, first; then the base, other aliases, and every adapter version."""
        found = await deps.known.all()
        aliases = [(alias.alias == PRODUCTION, alias_card(deps, alias)) for alias in await deps.aliases.named()]
        production = [each for is_production, each in aliases if is_production]
        others = [each for is_production, each in aliases if not is_production]
        return ModelList(data=[*production, card(deps, None), *others, *(card(deps, manifest) for manifest in found)])

    @router.get("/v1/models/{model}")
    async def model(model: str) -> ModelCard:
        """One model; an alias answers with the version that it names."""
        return card(deps, await deps.resolver.resolve(model))

    @router.get("/v1/adapters")
    async def adapters(page_size: PageSize = None, page_token: PageToken = "") -> AdapterList:
        """Newest first."""
        found, more = page_of(await deps.known.pages(page_token), page_size, page_token)
        return AdapterList(adapters=found, broken=found.broken, next_page_token=more)

    @router.get("/v1/adapters/{name}")
    async def adapter_versions(name: str, page_size: PageSize = None, page_token: PageToken = "") -> AdapterList:
        """Versions of one name, newest first; 404 if there are none."""
        found = await asyncio.to_thread(deps.catalog.versions, name)
        if not found and not found.broken:
            raise NotFoundError(f"there is no adapter {name!r}; GET /v1/adapters lists those that exist", field="name")
        found, more = page_of(found, page_size, page_token)
        return AdapterList(adapters=found, broken=found.broken, next_page_token=more)

    @router.get("/v1/adapters/{name}/{version}")
    async def adapter(name: str, version: str) -> AdapterManifest:
        """version: one, `latest`, or an alias."""
        return await deps.resolver.adapter(f"{name}@{version}")

    both = APIRouter()
    both.include_router(health)
    both.include_router(router)
    return both


async def complete(deps: Deps, request: Request, path: str) -> Response:
    """Resolve the model, wait for the caller's turn, see that its adapter is loaded, and pass the request on under the resolved name."""
    payload = parse_payload(await request.body())
    deps.limits.apply(path, payload)
    _ = deps.engine.url  # while vLLM is down, say so before any other work
    manifest = await deps.resolver.resolve(payload["model"])
    try:
        await until_gone(request, deps.shares.take(request, deps.limits.tokens(payload)))
    except ClientGone:
        return Response(status_code=CLIENT_GONE)
    if manifest is None:
        request.state.model = payload["model"]
        return await deps.proxy.forward(request, path, payload, "base", {})
    headers = {VERSION_HEADER: manifest.version}
    payload["model"] = request.state.model = await deps.loader.ensure(manifest)
    response = await deps.proxy.forward(request, path, payload, "adapter", headers)
    if response.status_code == 404:  # vLLM was restarted between the two calls and knows no adapter yet
        deps.loader.forget(payload["model"])
        await deps.loader.ensure(manifest)
        response = await deps.proxy.forward(request, path, payload, "adapter", headers)
    return response


def parse_payload(body: bytes) -> dict[str, Any]:
    """The body as a JSON object with a `model`."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"the request body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidInputError("the request body must be a JSON object")
    if not isinstance(payload.get("model"), str) or not payload["model"]:
        raise InvalidInputError("`model` must be the name of a model; GET /v1/models lists them", field="model")
    return payload


def card(deps: Deps, manifest: AdapterManifest | None) -> ModelCard:
    base = deps.resolver.base_name
    if manifest is None:
        return ModelCard(id=base, created=deps.started_at, root=base)
    created = int(manifest.created_at.timestamp())
    return ModelCard(id=f"{manifest.name}@{manifest.version}", created=created, root=base, parent=base)


def alias_card(deps: Deps, alias: Alias) -> ModelCard:
    base = deps.resolver.base_name
    model = alias.name if alias.alias == PRODUCTION else f"{alias.name}@{alias.alias}"
    created = int(alias.change.at.timestamp()) if alias.change else deps.started_at
    return ModelCard(id=model, created=created, root=base, parent=base, version=alias.version)
