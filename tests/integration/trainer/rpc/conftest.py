"""The service that the tests call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from integration.trainer.rpc.service import (
    BASE,
    TOKEN,
    ScriptedPlanner,
    Service,
)
from unit.trainer.made import dpo_rows, kto_rows, put_dataset, sft_rows

from burnish.objectstores.memory import MemoryObjectStore
from burnish_protos.trainer.v1 import trainer_pb2_grpc as rpc
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Admission
from burnish_trainer.rpc.server import Health, build_server
from burnish_trainer.rpc.servicer import TrainerServicer


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    store, notifier, health, planner = MemoryObjectStore(), Notifier(), Health(), ScriptedPlanner()
    repository = JobRepository(database)
    admission = Admission(store, BASE, ["cpu"])
    server = build_server(TrainerServicer(repository, admission, notifier, planner, store), TOKEN, health)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await health.set_serving(True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Service(
            rpc.TrainerStub(channel),
            channel,
            repository,
            notifier,
            planner,
            store,
            put_dataset(store, sft_rows(8)),
            put_dataset(store, dpo_rows(8), name="pairs"),
            put_dataset(store, kto_rows(8), name="thumbs"),
            database,
            f"127.0.0.1:{port}",
        )
    await server.stop(None)
