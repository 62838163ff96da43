"""A real vLLM on a CPU is lent: put to sleep and woken by its own endpoints, with the answers of base and adapter compared.

Its workers on a CPU keep their memory when they sleep, so what is free is scripted. What is real: the endpoints, the paused
scheduler, the answers, and the end and the start of the process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import orjson
import pytest
from adapter_making import CONFIG, WEIGHTS, lora_config
from inference_server import find_python
from safetensors.numpy import save_file

from burnish.adapters.base import BaseModel
from burnish.errors import UnavailableError
from burnish.schemas.device import LeaseRequest
from burnish_inference.api.dependencies import open_upstream
from burnish_inference.device.control import EngineControl
from burnish_inference.device.gate import Gate
from burnish_inference.device.keeper import DeviceKeeper, Sharer
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.device.machine import Phase
from burnish_inference.engine.command import vllm_command, vllm_environment
from burnish_inference.engine.supervisor import Policy, State, Supervisor
from burnish_inference.settings import InferenceSettings

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
ADAPTER, RANK = "fix@1", 8
PATIENT = Policy(start_limit=400, hang_limit=120)


class Card:
    """Asleep or ended, vLLM leaves all of it; `sleep_frees` False: only its end does."""

    sleep_frees = True
    engine: Supervisor

    def free(self, names: object) -> int:
        away = {State.HELD, State.ASLEEP} if self.sleep_frees else {State.HELD}
        return 20 if self.engine.state in away else 4


def make_adapter(folder: Path, base: Path) -> Path:
    """Random weights for the query projections, large enough to change what the base says."""
    shape = orjson.loads((base / "config.json").read_bytes())
    hidden, layers, random = shape["hidden_size"], shape["num_hidden_layers"], np.random.default_rng(7)
    arrays = {}
    for layer in range(layers):
        path = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        arrays[f"{path}.lora_A.weight"] = random.normal(size=(RANK, hidden)).astype(np.float32)
        arrays[f"{path}.lora_B.weight"] = (0.05 * random.normal(size=(hidden, RANK))).astype(np.float32)
    folder.mkdir()
    save_file(arrays, folder / WEIGHTS)
    (folder / CONFIG).write_bytes(orjson.dumps(lora_config(RANK, target_modules=["q_proj"])))
    return folder


@pytest.fixture
async def card() -> Card:
    return Card()


@pytest.fixture
async def keeper(tmp_path: Path, base_model_dir: Path, card: Card) -> AsyncIterator[DeviceKeeper]:
    settings = InferenceSettings(base_model=base_model_dir, sharing="sleep", dtype="float32", max_model_len=256)
    base = BaseModel.open(base_model_dir)
    environment = vllm_environment(settings, "cpu", os.environ)

    def launch(socket: Path) -> tuple[list[str], dict[str, str]]:
        command = vllm_command(settings, "cpu", base.record.name, base.target_modules, socket)
        return [str(find_python()), *command[1:]], environment

    async with (
        Supervisor(launch, base.record.name, tmp_path / "vllm.log", PATIENT) as engine,
        open_upstream(engine.socket) as upstream,
    ):
        card.engine = engine
        control = EngineControl(engine, upstream, base.record.name, lambda: ADAPTER)
        keeper = DeviceKeeper(control, Gate(0), LeaseFile(tmp_path), Sharer("sleep", ("cpu:x",), 5, 0.2, card.free))
        async with keeper:
            await until(keeper, Phase.SERVING)
            await learn(upstream, engine, make_adapter(tmp_path / "adapter", base_model_dir))
            yield keeper


async def learn(upstream: aiohttp.ClientSession, engine: Supervisor, folder: Path) -> None:
    body = {"lora_name": ADAPTER, "lora_path": str(folder)}
    async with upstream.post(f"{engine.url}/v1/load_lora_adapter", json=body) as response:
        assert response.status == 200, await response.text()


async def until(keeper: DeviceKeeper, phase: Phase) -> None:
    async with asyncio.timeout(400):
        while keeper.state.phase is not phase:
            await asyncio.sleep(0.05)


async def lend(keeper: DeviceKeeper) -> None:
    request = LeaseRequest(holder="job-a", devices=["cpu:x"], size_bytes=10, ttl_seconds=600)
    async with asyncio.timeout(200):
        while not (await keeper.ask(request)).granted:
            await asyncio.sleep(0.05)


async def test_it_sleeps_and_wakes_and_answers_as_before(keeper: DeviceKeeper, card: Card) -> None:
    await lend(keeper)
    assert keeper.state.phase is Phase.ASLEEP
    with pytest.raises(UnavailableError, match="asleep"):
        _ = card.engine.url
    async with open_upstream(card.engine.socket) as upstream:
        async with upstream.get(f"{card.engine.address}/is_sleeping") as response:
            assert await response.json() == {"is_sleeping": True}
        await keeper.give_back("job-a")
        await until(keeper, Phase.SERVING)
        async with upstream.get(f"{card.engine.url}/is_sleeping") as response:
            assert await response.json() == {"is_sleeping": False}
    assert card.engine.generation == 1, "base and adapter passed the comparison: it was not started again"

    card.sleep_frees = False  # as on a CPU
    await lend(keeper)
    assert keeper.state.phase is Phase.STOPPED
    assert card.engine.state is State.HELD
    assert not card.engine.socket.exists()
    await keeper.give_back("job-a")
    await until(keeper, Phase.SERVING)
    assert card.engine.generation == 2
