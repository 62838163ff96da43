"""Engines that the tests start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from integration.trainer.scheduler.bench import Bench, Start


@pytest.fixture
async def start(new_sqlite: Callable[[bool], str], tmp_path: Path) -> AsyncIterator[Start]:
    """Start an engine under a policy; stopped when the test ends."""
    running: list[tuple[Bench, asyncio.Task[None]]] = []

    async def begin(url: str = "", **changes: Any) -> Bench:
        bench = Bench(url or new_sqlite(True), tmp_path, **{"stop_grace_seconds": 0.2, **changes})
        running.append((bench, asyncio.create_task(bench.engine.run())))
        return bench

    yield begin
    for bench, task in running:
        bench.planner.open.set()
        bench.engine.stop()
        await task
