"""Part 1: a table of hostile calls and as many more by hypothesis, to all three services. Nothing may be a defect, and nothing may grow."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hostile import trainer_calls
from hostile.curator_calls import CuratorCalls
from hostile.figures import Figure, counted
from hostile.inference_calls import InferenceCalls, http_tricks
from hostile.sending import Answer, Call, send
from hostile.stack import TRACEBACK, LogWatch, Stack
from hostile.trainer_calls import FAULTS, RpcCall, TrainerCalls

SIDE_BY_SIDE = 4
WARM_UP = 0.2  # of the calls: what they make grow is what a service needs, not what it loses
MOST_GROWTH_MIB = 96.0
Found = dict[str, list[str]]
Some = TypeVar("Some")


def run(stack: Stack, count: int, seed: int) -> list[Figure]:
    """count: of the calls made by hypothesis; those of the table come on top."""
    with stack.http("curator") as curator, stack.http("inference") as inference:
        of_curator, of_inference = CuratorCalls(curator, stack.token), InferenceCalls(inference)
    curator_calls = [*of_curator.table(), *of_curator.made(count // 3, seed), *http_tricks("curator", "/v1/runlogs")]
    inference_calls = [
        *of_inference.table(),
        *of_inference.made(count // 3, seed),
        *http_tricks("inference", "/v1/models"),
    ]
    rpc_calls = [*trainer_calls.table(), *trainer_calls.made(count // 3, seed)]
    trainer = TrainerCalls(str(stack.state()["trainer_address"]), stack.token)
    figures, found = [], defaultdict[str, list[str]](list)
    logs = LogWatch(stack)
    for service, calls, one in (
        ("curator", curator_calls, lambda call: _ask(stack, call, found)),
        ("inference", inference_calls, lambda call: _ask(stack, call, found)),
        ("trainer", rpc_calls, lambda call: _ask_trainer(trainer, call, found)),
    ):
        figures += _send_all(stack, service, calls, one, seed)
    trainer.close()
    names = (
        "500s, INTERNAL, UNKNOWN",
        "well-formed calls without an answer",
        "let in without access",
        "tracebacks in answers",
    )
    figures += [counted("calls", name, found[name]) for name in names]
    figures.append(counted("calls", "tracebacks in logs", logs.tracebacks()))
    figures.append(counted("calls", "parts not healthy after it", [] if stack.wait_healthy() else stack.broken()))
    return figures


def _send_all(stack: Stack, service: str, calls: Sequence[Some], one: Callable[[Some], Any], seed: int) -> list[Figure]:
    order = random.Random(seed).sample(calls, len(calls))
    warm_up = int(len(order) * WARM_UP)
    began = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(one, order[:warm_up]))
        before = stack.memory_mib()[service]
        list(pool.map(one, order[warm_up:]))
        grown = stack.memory_mib()[service] - before
    return [
        Figure("calls", f"{service}: calls", len(calls)),
        Figure("calls", f"{service}: duration", round(time.monotonic() - began, 1), unit="s"),
        Figure("calls", f"{service}: memory growth", round(grown, 1), MOST_GROWTH_MIB, "MiB"),
    ]


def _ask(stack: Stack, call: Call, found: Found) -> None:
    host, port = stack.address(call.service)
    data = call.encoded(stack.token, f"{host}:{port}")
    try:
        answer = send((host, port), data)
    except TimeoutError:
        answer = Answer(0, b"(no answer in time)")
    text = f"{call.service} {call.method} {call.target[:120]} {str(call.headers)[:150]} {call.body[:200]!r}: {answer.content[-300:]!r}"
    if answer.status >= 500:
        found["500s, INTERNAL, UNKNOWN"].append(text)
    if answer.status == 0 and call.well_formed:
        found["well-formed calls without an answer"].append(text)
    if not call.allowed and 200 <= answer.status < 400:
        found["let in without access"].append(text)
    if TRACEBACK in answer.content:
        found["tracebacks in answers"].append(text)


def _ask_trainer(trainer: TrainerCalls, call: RpcCall, found: Found) -> None:
    code, said = trainer.send(call)
    if code in FAULTS:
        found["500s, INTERNAL, UNKNOWN"].append(f"trainer {call}: {code.name} {said[:300]}")
    if call.metadata is not None and code.name == "OK":
        found["let in without access"].append(f"trainer {call}")
    if TRACEBACK.decode() in said:
        found["tracebacks in answers"].append(f"trainer {call}: {said[:300]}")
