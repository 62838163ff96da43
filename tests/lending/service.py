"""The inference service as main.py composes it, but before lending/vllm.py: `python -m lending.service FOLDER BASE PORT DEVICE [UUID]`.

FOLDER is its cache folder; with DEVICE cpu its file `card` stands in a GPU's place. The store is the environment's, or an empty one
in memory. The token is BURNISH_TOKEN.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from burnish.adapters.base import BaseModel
from burnish.machine import devices
from burnish.objectstores.memory import MemoryObjectStore
from burnish.service.settings import S3Settings
from burnish.telemetry import logs
from burnish_inference.api.app import create_app
from burnish_inference.api.dependencies import Deps, open_upstream
from burnish_inference.api.serving import listen, serve
from burnish_inference.device.keeper import Sharer
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.engine.supervisor import Policy, Supervisor
from lending.card import Card

WAIT_SECONDS = 1.0  # of a request while a job has the card
POLICY = Policy(start_limit=120, poll_interval=0.1, longest_backoff=2)


async def run(folder: Path, base: BaseModel, port: int, device: str, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / "card"

    def launch(socket: Path) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "lending.vllm", str(socket), device, str(card)], dict(os.environ)

    free = devices.free_bytes if device == "cuda" else Card(card).free_bytes
    sharer = Sharer("sleep", names, drain_seconds=20, free_bytes=free)
    store = S3Settings().open() if "BURNISH_S3_ENDPOINT" in os.environ else MemoryObjectStore()  # type: ignore[call-arg]
    is_held = LeaseFile(folder).read() is not None
    async with (
        Supervisor(launch, base.record.name, folder / "vllm.log", POLICY, is_held) as engine,
        open_upstream(engine.socket) as upstream,
    ):
        deps = Deps.wire(
            token=os.environ["BURNISH_TOKEN"], max_request_bytes=1 << 20, max_lora_rank=64, cache_dir=folder, base=base,
            store=store, engine=engine, upstream=upstream, sharer=sharer, lease_wait_seconds=WAIT_SECONDS,
        )  # fmt: skip
        async with deps.device, deps.aliases.watching():
            await serve(create_app(deps), listen("127.0.0.1", port), 2, engine)


def main() -> None:
    folder, base, port, device = sys.argv[1:5]
    logs.configure()
    names = tuple(sys.argv[5:]) or (devices.cpu(),)
    asyncio.run(run(Path(folder), BaseModel.open(Path(base)), int(port), device, names))


if __name__ == "__main__":
    main()
