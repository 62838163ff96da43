"""Hostile calls to the trainer: junk bytes as messages, hostile fields, wrong tokens, odd metadata; each with what it was answered."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hostile.values import drawn
from hypothesis import strategies as st

from burnish_protos.trainer.v1 import trainer_pb2 as pb

LIMIT_SECONDS = 60.0
SERVICE = pb.DESCRIPTOR.services_by_name["Trainer"]
METHODS: dict[str, type[Message]] = {method.name: getattr(pb, method.input_type.name) for method in SERVICE.methods}
OTHERS = (
    "/burnish.trainer.v1.Trainer/Nothing", "/x", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)  # fmt: skip
FAULTS = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.DEADLINE_EXCEEDED}
)
JUNK = [b"", b"\x00", b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"\x0a\x04\xed\xa0\x80x", b"\x08" * 1000, b"\x0b" * 5000, b"x" * 1_000_000]  # fmt: skip
TEXTS = ["", "\x00", "..\\..\\x", "../x", "x" * 5000, "\u202egnp", "a@b", "latest", "-1", "job-0000000000000000", "'; drop table jobs; --"]  # fmt: skip
INTEGERS = [0, 1, -1, 7, 4096, 2**31 - 1, -(2**31)]
FLOATS = [float("nan"), float("inf"), -1.0, 0.0, 1e308, 1e-320]


@dataclass(frozen=True)
class RpcCall:
    method: str
    data: bytes
    metadata: tuple[tuple[str, Any], ...] | None = None  # None: the token

    def __str__(self) -> str:
        return f"{self.method} {self.data[:120]!r} {'' if self.metadata is None else str(self.metadata)[:100]}"


def table() -> Iterator[RpcCall]:
    for name in METHODS:
        path = f"/{SERVICE.full_name}/{name}"
        for junk in JUNK:
            yield RpcCall(path, junk)
        for metadata in (
            (),
            (("authorization", "Bearer"),),
            (("authorization", "Bearer x"),),
            (("authorization", "Bearer " + "x" * 4000),),
        ):
            yield RpcCall(path, b"", metadata)
    for path in OTHERS:
        for junk in JUNK[:6]:
            yield RpcCall(path, junk)
    for token in ["", "x", "x" * 1000, "é", "/w==", "AAAA", "W10=", "bnVsbA=="]:
        for size in (-1, 0, 2**31 - 1):
            yield _call("ListTuningJobs", pb.ListTuningJobsRequest(page_token=token, page_size=size))
    for labels in ({f"l{n}": "x" for n in range(5000)}, {"": ""}, {"\x00": "\x00"}, {"x": "y" * 5000}):
        yield _call("ListTuningJobs", pb.ListTuningJobsRequest(labels=labels))
        yield _call("CreateTuningJob", pb.CreateTuningJobRequest(labels=labels))
    yield _call("ListTuningJobs", pb.ListTuningJobsRequest(states=range(-50, 50)))
    yield from one_field_at_a_time()


def one_field_at_a_time() -> Iterator[RpcCall]:
    """Each field of each message hostile beside a job that is right but for its dataset, which there is not; also a hosted one."""
    spec = pb.TuningSpec(
        dataset=pb.DatasetRef(name="none", version="0" * 16), adapter_name="hostile", sft=pb.SftParams()
    )
    hosted = pb.HostedSpec(provider="openai", model="gpt-4.1-nano-2025-04-14", spend_limit_usd=1)
    right: dict[str, Message] = {
        "CreateTuningJob": pb.CreateTuningJobRequest(spec=spec),
        "PreviewTuningJob": pb.CreateTuningJobRequest(spec=spec),
    }
    right["PreviewTuningJob"].spec.hosted.CopyFrom(hosted)
    for name, kind in METHODS.items():
        for spoilt in _spoilt(right.get(name, kind())):
            yield _call(name, spoilt)


def _spoilt(message: Message) -> Iterator[Message]:
    """Copies of the message, each with one field set to something hostile, at any depth."""
    for one in message.DESCRIPTOR.fields:
        is_map = one.message_type is not None and one.message_type.GetOptions().map_entry
        if one.message_type is not None and not is_map:
            for inner in _spoilt(getattr(message, one.name)):
                changed = type(message).FromString(message.SerializeToString())
                getattr(changed, one.name).CopyFrom(inner)
                yield changed
            continue
        for value in TEXTS if is_map else _values(one):
            changed = type(message).FromString(message.SerializeToString())
            if is_map:
                getattr(changed, one.name)[value] = value
            elif one.is_repeated:
                getattr(changed, one.name).extend([value] * 300)
            else:
                setattr(changed, one.name, value)
            yield changed


def _values(one: FieldDescriptor) -> list[Any]:
    """Of a field of a plain type."""
    if one.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return TEXTS
    if one.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return [True]
    if one.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return FLOATS
    if one.cpp_type == FieldDescriptor.CPPTYPE_INT64:
        return [*INTEGERS, 2**63 - 1, -(2**63)]
    return INTEGERS


def made(count: int, seed: int) -> Iterator[RpcCall]:
    """About `count` calls: a method and a message whose fields are hostile, every fifth one with bytes changed."""
    names = list(METHODS)
    for number in drawn(st.integers(0, 2**60), count, seed):
        dice = random.Random(number)
        name = dice.choice(names)
        data = _filled(METHODS[name](), dice).SerializeToString()
        if data and dice.random() < 0.2:
            spoilt = bytearray(data)
            for _ in range(dice.randint(1, 4)):
                spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
            data = bytes(spoilt)
        yield RpcCall(f"/{SERVICE.full_name}/{name}", data)


def _call(name: str, message: Message) -> RpcCall:
    return RpcCall(f"/{SERVICE.full_name}/{name}", message.SerializeToString())


def _filled(message: Message, dice: random.Random, depth: int = 0) -> Message:
    """A message with some of its fields set, each to something that no client sends."""
    for one in message.DESCRIPTOR.fields:
        if depth > 3 or dice.random() < 0.5:
            continue
        if one.message_type is not None and one.message_type.GetOptions().map_entry:
            getattr(message, one.name)[dice.choice(TEXTS)] = dice.choice(TEXTS)
        elif one.is_repeated:
            if one.message_type is None:
                getattr(message, one.name).extend(_value(one, dice) for _ in range(dice.choice((1, 2, 300))))
        elif one.message_type is not None:
            _filled(getattr(message, one.name), dice, depth + 1)
            getattr(message, one.name).SetInParent()
        else:
            setattr(message, one.name, _value(one, dice))
    return message


def _value(one: FieldDescriptor, dice: random.Random) -> Any:
    values = _values(one)
    if one.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        values = [*values, "".join(dice.choices(string.printable, k=8))]
    return dice.choice(values)


class TrainerCalls:
    """Sends bytes as they are: nothing of the generated client mends them."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(
            address, [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
        )
        self._metadata = (("authorization", f"Bearer {token}"),)

    def send(self, call: RpcCall) -> tuple[grpc.StatusCode, str]:
        """The status and the whole of what was said with it. A stream's first answers count as OK."""
        method = self._channel.unary_stream(call.method)
        metadata = self._metadata if call.metadata is None else call.metadata
        try:
            answers = method(call.data, metadata=metadata, timeout=LIMIT_SECONDS)
            for _ in answers:
                answers.cancel()
                break
        except grpc.RpcError as error:
            trailing: Mapping[str, Any] = dict(error.trailing_metadata() or ())
            return error.code(), f"{error.details()} {trailing}"
        return grpc.StatusCode.OK, ""

    def close(self) -> None:
        self._channel.close()
