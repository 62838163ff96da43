"""What no client sends, to every method of the server: each is answered as the caller's mistake, and nothing is a defect.

The calls are those of the hostile round (tests/hostile).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from hostile import trainer_calls
from hostile.trainer_calls import FAULTS, METHODS, SERVICE, RpcCall, TrainerCalls
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


def test_every_rpc_is_called_with_each_of_its_fields_hostile() -> None:
    """Also one that comes later, unless it is of a type that nothing hostile is known for."""
    table = list(trainer_calls.table())
    for method in SERVICE.methods:
        kind = METHODS[method.name]
        path = f"/{SERVICE.full_name}/{method.name}"
        called = [call for call in table if call.method == path]
        assert any(call.metadata is not None for call in called), method.name
        set_somewhere: set[str] = set()
        for call in called:
            with contextlib.suppress(DecodeError):
                set_somewhere |= set(_fields_of(kind.FromString(call.data)))
        assert set(_every_field(kind.DESCRIPTOR)) == set_somewhere, method.name


def _fields_of(message: Message) -> Iterator[str]:
    for one, value in message.ListFields():
        yield one.full_name
        if one.message_type is not None and not one.is_repeated:
            yield from _fields_of(value)


def _every_field(kind: Descriptor) -> Iterator[str]:
    for one in kind.fields:
        yield one.full_name
        if one.message_type is not None and not one.is_repeated:
            yield from _every_field(one.message_type)


async def test_the_table_of_hostile_calls(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    table = list(trainer_calls.table())
    assert len(table) > 200
    assert await asyncio.to_thread(faults, service.address, table) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []


async def test_calls_with_hostile_fields(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    assert await asyncio.to_thread(faults, service.address, trainer_calls.made(300, seed=1)) == []
    assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
