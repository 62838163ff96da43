"""Fuzzing of what reads other tools' traces: each reader, files in every form, exporters' requests up to a run log, and grades for what was read."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from hostile.values import as_json, json_values, raw_bytes, texts
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from trace_making import FIXTURES

from burnish.curation.log_grading import LogGrader
from burnish.errors import BurnishError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.runlogs.ingestion import ingest
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.readers import registry
from burnish.runlogs.storage import files_of
from burnish.runlogs.traces.files import records
from burnish.runlogs.traces.importing import convert
from burnish.runlogs.traces.mapping import Mapper
from burnish.runlogs.traces.scores import Scores, read_rules
from burnish.schemas.runlog import RunLogLine
from burnish.telemetry.otlp_requests import JSON, PROTOBUF, decode_traces
from burnish_curator.metrics import CuratorMetrics
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.traces.service import TraceService

# Of formats without a fixture.
OWN: dict[str, list[dict[str, Any]]] = {
    "burnish": [{"question_id": "q", "question": "?", "answer": "a", "retrieval_hit": True, "grade": "wrong"}],
    "chat": [
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "a"}], "rating": "up"},
        {"prompt": "?", "completion": "a", "expected_answer": "b", "thumbs_up": False},
        {"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "a"}], "score": 0.5},
    ],
}  # fmt: skip
RULES = ["quality:>=0.8=correct", "helpful:yes=correct,no=incorrect", "*:ignore"]
OTLP = {
    "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "app"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "parentSpanId": "", "name": "chat", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
            "status": {"code": 2, "message": "x"}, "links": [{"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1"}],
            "events": [{"name": "gen_ai.evaluation.result", "timeUnixNano": "1", "attributes": [{"key": "gen_ai.evaluation.name", "value": {"stringValue": "quality"}}]}],
            "attributes": [
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.prompt.0.content", "value": {"stringValue": "?"}}, {"key": "gen_ai.prompt.0.role", "value": {"stringValue": "user"}},
                {"key": "gen_ai.completion.0.content", "value": {"stringValue": "a"}}, {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "3"}},
                {"key": "llm.input_messages.0.message.content", "value": {"stringValue": "?"}}, {"key": "openinference.span.kind", "value": {"stringValue": "LLM"}},
                {"key": "x", "value": {"kvlistValue": {"values": [{"key": "y", "value": {"arrayValue": {"values": [{"doubleValue": 1.5}]}}}]}}},
            ],
        }]}],
    }]
}  # fmt: skip
# Of the right kind, where a reader looks twice: JSON in JSON, times, numbers, and keys that are paths.
ODD = st.sampled_from(
    ["", "[]", "{}", "null", '{"role": "user"}', '[{"role": 1}]', "NaN", "1e999", "9" * 400, "2026-13-45T99:00:00Z", "0x", "human", "LLM", "a.0.b", "a.b", "\ud800", "\x00", "[" * 400, "-0"]
)  # fmt: skip
VALUES = ODD | json_values | texts
KEYS = st.sampled_from(["a.0", "a.0.b", "a.x", "0", "", "data", "runs", "traces", "results", "samples", "context.span_id", "resourceSpans", "resourceLogs", "observations"])  # fmt: skip


def targets() -> dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None]]]:
    some = samples()
    return {
        "traces": (_mutated_files(some), _import),
        "trace files": (st.tuples(st.sampled_from(list(FORMS)), st.lists(_mutated(some), max_size=3), st.integers(0, 200)), _read_file),
        "OTLP requests": (requests(), _take),
        "log grades": (_lines(), _grade),
    }  # fmt: skip


def samples() -> dict[str, list[dict[str, Any]]]:
    """Good records of each of the eleven formats, by its name."""
    found = {name: list(rows) for name, rows in OWN.items()}
    for file in sorted(FIXTURES.iterdir()):
        name = file.name.partition(".")[0].partition("-")[0]
        if name in registry.READERS:
            found.setdefault(name, []).extend(record.value for record in records(file) if record.value)
    assert set(found) == set(registry.READERS), "a format is not fuzzed"
    return found


def _mutated(some: dict[str, list[dict[str, Any]]]) -> st.SearchStrategy[dict[str, Any]]:
    flat = [record for rows in some.values() for record in rows]
    return st.sampled_from(flat).flatmap(changed)


def changed(record: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The record with up to four of its values, at any depth, replaced, removed, wrapped or given a key."""
    paths = list(_paths(record))
    change = st.tuples(
        st.sampled_from(paths), st.sampled_from(("replace", "replace", "remove", "wrap", "add")), VALUES, KEYS | texts
    )
    return st.lists(change, max_size=4).map(lambda changes: _with(record, changes))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield (*path, key)
        yield from _paths(held, (*path, key))


def _with(record: dict[str, Any], changes: list[tuple[tuple[Any, ...], str, Any, str]]) -> dict[str, Any]:
    made = copy.deepcopy(record)
    for path, how, value, name in changes:
        held: Any = made
        try:
            for key in path[:-1]:
                held = held[key]
            last = path[-1]
            if how == "remove":
                del held[last]
            elif how == "add":
                (held if isinstance(held, dict) else held[last])[name] = value
            else:
                held[last] = value if how == "replace" else [held[last]]
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    return made


def _mutated_files(some: dict[str, list[dict[str, Any]]]) -> st.SearchStrategy[tuple[str, list[dict[str, Any]]]]:
    """(what the reader is told the format is, records of one format), mostly the right one."""

    def of(name: str) -> st.SearchStrategy[tuple[str, list[dict[str, Any]]]]:
        told = st.sampled_from([name, name, "auto", *registry.READERS])
        return st.tuples(told, st.lists(st.sampled_from(some[name]).flatmap(changed), min_size=1, max_size=3))

    return st.sampled_from(sorted(some)).flatmap(of)


def _import(case: tuple[str, list[dict[str, Any]]]) -> None:
    """As `burnish runs import` does, up to what the curator is sent: it takes each line, or says why not."""
    told, rows = case
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "rows.jsonl", io.BytesIO()
        file.write_bytes(b"".join(as_json(row) + b"\n" for row in rows))
        mapper = Mapper(Scores(read_rules(RULES)), ["failure"])
        report = convert([file], told, mapper, out)
        json.dumps(report.preview, default=str).encode()
        (Path(folder) / "log").mkdir()
        ingested = ingest([out.getvalue()], Path(folder) / "log")
        assert ingested.lines == report.lines


def _packed(content: bytes, name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["x"]
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()} for row in rows
    )
    return out.getvalue().encode("utf-8", "surrogatepass")


FORMS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "jsonl": lambda rows: b"\n".join(map(as_json, rows)),
    "array": lambda rows: json.dumps(rows).encode(),
    "document": lambda rows: json.dumps({"data": rows}, indent=1).encode(),
    "csv": _as_csv,
    "zip": lambda rows: _packed(json.dumps(rows[0] if rows else {}).encode(), "samples/1.json"),
    "gzip": lambda rows: gzip.compress(b"\n".join(map(as_json, rows))),
}  # fmt: skip


def _read_file(case: tuple[str, list[dict[str, Any]], int]) -> None:
    """A whole file, or one that ends early or has a byte changed."""
    form, rows, place = case
    data = bytearray(FORMS[form](rows))
    if place % 3 == 1:
        del data[len(data) * place // 200 :]
    elif place % 3 == 2 and data:
        data[place * 7919 % len(data)] ^= 1 + place % 255
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        file.write_bytes(data)
        convert([file], "auto", Mapper(Scores({})), io.BytesIO())


def requests() -> st.SearchStrategy[list[tuple[bytes, str]]]:
    """Exports of one service, each a body and its type: changed ones, and no exports at all."""
    document = changed(OTLP)
    one = (
        document.map(lambda made: (as_json(made), JSON))
        | document.map(_protobuf)
        | st.tuples(raw_bytes, st.sampled_from([JSON, PROTOBUF, "x", ""]))
    )
    return st.lists(one, min_size=1, max_size=3)


def _protobuf(document: dict[str, Any]) -> tuple[bytes, str]:
    message = ExportTraceServiceRequest()
    try:
        ParseDict(document, message, ignore_unknown_fields=True)
        return message.SerializeToString(), PROTOBUF
    except (ParseError, ValueError, TypeError, AttributeError, SystemError):  # what no exporter could send
        return as_json(document), PROTOBUF


def _take(requests: list[tuple[bytes, str]]) -> None:
    """As the curator does: each is kept or refused, and what was kept becomes a run log."""
    store = MemoryObjectStore()
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "spool"
        service = TraceService(store, RunLogRepository(store, Path(folder) / "cache", spool, CuratorMetrics()), spool)
        for body, kind in requests:
            try:
                service.inbox.add(decode_traces(body, kind))
            except BurnishError:
                continue
        for waiting in service.inbox.waiting():
            try:
                service.cut(waiting.name, at_once=True)
            except BurnishError:
                continue


def _lines() -> st.SearchStrategy[dict[str, Any]]:
    fields = ("question", "answer", "expected_answer", "finish_reason", "error", "grader", "system_prompt", "messages", "tool_calls", "failure_label", "grade", "evidence_text")  # fmt: skip
    hostile = st.dictionaries(st.sampled_from(fields), VALUES, max_size=5)
    return hostile.map(lambda some: {"question_id": "q", "question": "?", "answer": "a", "retrieval_hit": None} | some)


def _grade(row: dict[str, Any]) -> None:
    """Signatures, and a grader that the line itself names, on what a run log could hold."""
    with tempfile.TemporaryDirectory() as folder:
        ingested = ingest([as_json(row)], Path(folder))
        if not ingested.accepted:
            return
        (line,) = RunLogReader([Path(folder) / part.path for part in files_of(ingested.manifest("x")).parts]).lines([0])
    assert isinstance(line, RunLogLine)
    for grader in (LogGrader(), LogGrader(expects_json=True, schema={"type": "object", "required": ["a"]})):
        graded, _ = grader.graded(line)
        as_json(graded.model_dump(mode="json"))
