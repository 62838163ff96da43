"""What no client sends, to every method of the server: each is answered as the caller's mistake, and nothing is a defect.

The calls are those of the hostile round (tests/hostile).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest
from hostile import trainer_calls
from hostile.trainer_calls import FAULTS, RpcCall, TrainerCalls
from integration.trainer.rpc.service import TOKEN, Service


def faults(address: str, calls: Iterable[RpcCall]) -> list[str]:
    """What was answered as a defect, without an explanation, or to somebody without access."""
    trainer, found = TrainerCalls(address, TOKEN), []
    for call in calls:
        code, said = trainer.send(call)
        explained = code.name == "OK" or len(said.partition(" {")[0]) > 10
        let_in = call.metadata is not None and code.name == "OK"
        if code in FAULTS or let_in or not explained:
            found.append(f"{call}: {code.name} {said[:300]}")
    trainer.close()
    return found


async def test_the_table_of_hostile_calls(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    table = list(trainer_calls.table())
    assert len(table) > 200
    assert await asyncio.to_thread(faults, service.address, table) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_calls_with_hostile_fields(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    assert await asyncio.to_thread(faults, service.address, trainer_calls.made(300, seed=1)) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
