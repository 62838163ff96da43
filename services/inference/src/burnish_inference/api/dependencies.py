"""What the application is made of. Put together by main.py, and by tests with other parts behind the same ports."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

import aiohttp
from fastapi import Query

from burnish.adapters.base import BaseModel
from burnish.ports import ObjectStore
from burnish.service.paging import MOST_ITEMS
from burnish.telemetry.tracing import Tracing
from burnish_inference.adapters.aliases import AliasWatch
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.folders import CACHE_BYTES, AdapterFolders
from burnish_inference.adapters.known import KnownAdapters
from burnish_inference.adapters.loader import AdapterLoader
from burnish_inference.adapters.promotions import Promotions
from burnish_inference.adapters.refusals import Refusals
from burnish_inference.adapters.resolver import ModelResolver
from burnish_inference.api.proxy import Proxy
from burnish_inference.api.shares import Shares
from burnish_inference.device.control import EngineControl
from burnish_inference.device.gate import Gate
from burnish_inference.device.keeper import DeviceKeeper, Sharer
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.engine.port import Engine, LeasableEngine
from burnish_inference.limits import STANDARD, Limits
from burnish_inference.metrics import DeviceLent, EngineRestarts, InferenceMetrics

ALONE = Sharer()
PageSize = Annotated[int | None, Query(ge=1, le=MOST_ITEMS, description="without it, the whole list")]
PageToken = Annotated[str, Query(description="next_page_token of the page before")]
KEEP_ALIVE_SECONDS = 2.0  # below vLLM's own 5 s: a connection it is about to close is never used for a request


def open_upstream(socket: Path) -> aiohttp.ClientSession:
    """The HTTP client for vLLM on its socket: as many connections as there are requests. Open it inside the running loop, and close it."""
    connector = aiohttp.UnixConnector(str(socket), limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
    return aiohttp.ClientSession(connector=connector, skip_auto_headers={"Accept-Encoding"})


@dataclass(frozen=True)
class Deps:
    token: str
    max_request_bytes: int
    limits: Limits
    engine: Engine
    catalog: AdapterCatalog
    known: KnownAdapters
    aliases: AliasWatch
    resolver: ModelResolver
    promotions: Promotions
    loader: AdapterLoader
    device: DeviceKeeper
    gate: Gate
    proxy: Proxy
    upstream: aiohttp.ClientSession
    metrics: InferenceMetrics
    tracing: Tracing
    shares: Shares
    caller_keys: Mapping[str, str]
    started_at: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def wire(
        cls,
        *,
        token: str,
        max_request_bytes: int,
        max_lora_rank: int,
        cache_dir: Path,
        base: BaseModel,
        store: ObjectStore,
        engine: LeasableEngine,
        upstream: aiohttp.ClientSession,
        limits: Limits = STANDARD,
        tracing: Tracing | None = None,
        cache_bytes: int = CACHE_BYTES,
        caller_keys: Mapping[str, str] | None = None,
        tokens_in_flight: int | None = None,
        sharer: Sharer = ALONE,
        lease_wait_seconds: float = 0.0,
    ) -> Self:
        """tracing: None if no span is to leave the process. caller_keys: name -> key. tokens_in_flight: None: what vLLM's cache holds.

        lease_wait_seconds: of a request while a job has the device.
        """
        catalog, metrics, tracing = AdapterCatalog(store), InferenceMetrics(), tracing or Tracing("burnish-inference")
        metrics.registry.register(EngineRestarts(engine))
        folders = AdapterFolders(store, cache_dir, metrics, cache_bytes)
        loader = AdapterLoader(base, max_lora_rank, folders, Refusals(store), engine, upstream, metrics, tracing)
        aliases = AliasWatch(store, catalog, loader)
        resolver = ModelResolver(base.record.name, catalog, aliases)
        gate = Gate(lease_wait_seconds)
        control = EngineControl(engine, upstream, base.record.name, loader.newest)
        device = DeviceKeeper(control, gate, LeaseFile(cache_dir), sharer)
        metrics.registry.register(DeviceLent(device))
        return cls(
            token=token,
            max_request_bytes=max_request_bytes,
            limits=limits,
            engine=engine,
            catalog=catalog,
            known=KnownAdapters(catalog),
            aliases=aliases,
            resolver=resolver,
            promotions=Promotions(store, catalog, resolver, loader, aliases),
            loader=loader,
            device=device,
            gate=gate,
            proxy=Proxy(engine, upstream, metrics, tracing),
            upstream=upstream,
            metrics=metrics,
            tracing=tracing,
            shares=Shares(engine, upstream, tokens_in_flight),
            caller_keys=caller_keys or {},
        )
