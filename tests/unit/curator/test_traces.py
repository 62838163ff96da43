"""A cut that ends half-way loses no line and doubles none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.errors import InvalidInputError, PreconditionError, UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.traces.service import TraceService


class FailingStore(MemoryObjectStore):
    """Does not answer from the n-th write or removal of `prefix` on."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def _step(self) -> None:
        if self.left == 0:
            raise UnavailableError("the object store does not answer")
        self.left -= 1

    def put(self, key: str, data: bytes) -> Any:
        self._step()
        return super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> Any:
        self._step()
        return super().put_if_absent(key, data)

    def put_file(self, key: str, path: Path) -> Any:
        self._step()
        return super().put_file(key, path)

    def delete(self, key: str) -> None:
        self._step()
        super().delete(key)


def service(store: MemoryObjectStore, folder: Path) -> TraceService:
    spool = folder / "spool"
    run_logs = RunLogRepository(store, folder / "cache", spool, CuratorMetrics())
    return TraceService(store, run_logs, spool)


def spans(number: int) -> dict[str, Any]:
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": f"q{number}",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "a",
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
    span = {"traceId": f"t{number}", "spanId": f"s{number}", "attributes": attributes}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


@pytest.mark.parametrize("steps", range(9))
def test_a_cut_that_fails_anywhere_is_done_again(tmp_path: Path, steps: int) -> None:
    store = FailingStore()
    traces = service(store, tmp_path)
    for number in range(3):
        assert traces.inbox.add(spans(number)) == 1
    store.left = steps
    try:
        first = traces.cut("traces", at_once=True)
    except UnavailableError:
        first = None
    store.left = -1
    if first is None:
        traces.inbox.add(spans(3))
        for _ in range(2):
            try:
                traces.cut("traces", at_once=True)
            except PreconditionError:
                continue
    assert traces.inbox.waiting() == []
    run_logs = RunLogRepository(store, tmp_path / "other", tmp_path / "other-spool", CuratorMetrics())
    asked = [
        line.question
        for manifest in run_logs.list()
        for line in run_logs.open(manifest.id).reader.lines(range(manifest.accepted))
    ]
    assert sorted(asked) == (["q0", "q1", "q2"] if first else ["q0", "q1", "q2", "q3"])


def test_two_curators_do_not_cut_at_once(tmp_path: Path) -> None:
    store = FailingStore()
    one, two = service(store, tmp_path / "one"), service(store, tmp_path / "two")
    one.inbox.add(spans(1))
    store.left = 1
    with pytest.raises(UnavailableError):
        one.cut("traces", at_once=True)
    store.left = -1
    with pytest.raises(PreconditionError, match="another curator cuts the traces"):
        two.cut("traces")
    assert one.cut("traces", at_once=True).manifest.accepted == 1


def test_what_is_due_is_cut_and_an_error_of_one_leaves_the_others(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    traces = service(store, tmp_path)
    traces.inbox.add(spans(1), now_ns=10**18)
    traces.inbox.add(spans(2))
    traces.cut_due()
    [manifest] = RunLogRepository(store, tmp_path / "x", tmp_path / "y", CuratorMetrics()).list()
    assert manifest.accepted == 1
    assert [len(waiting.keys) for waiting in traces.inbox.waiting()] == [1], "the newer trace may go on"


def with_value(value: Any) -> dict[str, Any]:
    document = spans(1)
    (span,) = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    span["attributes"].append({"key": "odd", "value": value})
    return document


@pytest.mark.parametrize("integer", ["", "x", "9" * 400, ["3"], None, 2**63 - 1, True])
def test_an_odd_integer_is_kept_as_it_is(tmp_path: Path, integer: Any) -> None:
    traces = service(MemoryObjectStore(), tmp_path)
    assert traces.inbox.add(with_value({"intValue": integer})) == 1
    assert traces.cut("traces", at_once=True).manifest.accepted == 1


def test_spans_of_another_shape_are_refused_in_words(tmp_path: Path) -> None:
    traces = service(MemoryObjectStore(), tmp_path)
    with pytest.raises(InvalidInputError, match="no ExportTraceServiceRequest"):
        traces.inbox.add(with_value({"arrayValue": {"values": 3}}))
    assert traces.inbox.waiting() == []
