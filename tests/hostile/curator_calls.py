"""Hostile calls to the curator: each route of its schema by the table and by hypothesis, the review page, and HTTP itself."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from hostile.bodies import INNER_VALUES, hostile_bodies, hostile_lines
from hostile.real_things import made_for_real
from hostile.review_page import PageCalls
from hostile.sending import Call
from hostile.trace_fuzz import requests
from hostile.values import BODIES, IDS, VALUES, as_json, drawn, json_values, raw_bytes, texts
from hypothesis import strategies as st
from pydantic import BaseModel
from runlog_making import run

from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.review import TeacherAnswer
from burnish.schemas.runlog import ReviewItem, RunLogLine

JSON = ("Content-Type", "application/json")
REVIEW = "/v1/runlogs/{run_log_id}/review"
ITEM = {"question_id": "not-json-000", "failure_label": "not-json"}
# What has lines for a body: of which schema, and a good one.
LINES: dict[str, tuple[type[BaseModel], dict[str, Any]]] = {
    "/v1/runlogs": (RunLogLine, run("q1")),
    "/v1/benchmarks": (BenchmarkQuestion, {"question_id": "q1", "prompt": "x", "expected_answer": "x", "grader": {"name": "contains"}}),
    REVIEW: (ReviewItem, ITEM | {"question": "What is not-json-000?", "original_answer": "wrong answer", "corrected_output": "x"}),
    f"{REVIEW}/suggestions": (TeacherAnswer, ITEM | {"text": "x", "model": "m", "host": "teacher.example", "prompt_key": "0" * 64}),
}  # fmt: skip
Operation = tuple[str, str, dict[str, Any]]


class CuratorCalls:
    """of: `http`, a client with the token, of a curator. It makes one thing of each kind, so that calls get past their ids."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        self._real = made_for_real(http)
        self._run_log_id = self._real["run_log_id"]
        self._schema: dict[str, Any] = http.get("/openapi.json").json()
        self._page = PageCalls(http, token, self._run_log_id)
        self._operations: list[Operation] = [
            (method.upper(), path, operation)
            for path, methods in self._schema["paths"].items()
            for method, operation in methods.items()
        ]

    def table(self) -> Iterator[Call]:
        for method, path, operation in self._operations:
            yield from self._ids_and_queries(method, path, operation)
            if "requestBody" in operation:
                yield from self._bodies(method, path, operation)
            yield from self._strangers(method, path)
        yield from self._strangers("GET", "/openapi.json")
        yield Call("curator", "GET", "/openapi.json?\x00=%00")
        yield from self._page.table()
        yield from self._erasures()
        bomb = gzip.compress(b" " * (200 << 20), 9)
        yield Call("curator", "POST", "/v1/traces", (JSON, ("Content-Encoding", "gzip")), bomb)

    def made(self, count: int, seed: int) -> Iterator[Call]:
        """About `count` calls: a route, and hypothesis's ids, query and body in it."""
        strategy = st.tuples(st.sampled_from(self._operations), texts, texts, json_values, raw_bytes, st.booleans())
        for (method, path, operation), one, other, value, some, is_raw in drawn(strategy, count, seed):
            queries = _queries(operation)
            query = urlencode(dict.fromkeys(queries, other), errors="surrogatepass")
            body = (some if is_raw else as_json(value)) if "requestBody" in operation else b""
            target = _filled(path, quote(one, safe="", errors="surrogatepass") or "x")
            yield Call("curator", method, f"{target}?{query}" if query else target, (JSON,), body)
        for exported in drawn(requests(), count // 12, seed):
            yield from self._exported(exported)

    def _exported(self, exported: list[tuple[bytes, str]]) -> Iterator[Call]:
        """What an exporter sends, packed or not, and a run log of it."""
        for body, kind in exported:
            yield Call("curator", "POST", "/v1/traces", (("Content-Type", kind),), body)
        packed = (("Content-Type", kind), ("Content-Encoding", "gzip"))
        yield Call("curator", "POST", "/v1/traces", packed, gzip.compress(body))
        yield Call("curator", "POST", "/v1/traces", packed, gzip.compress(body)[:-9])
        yield Call("curator", "POST", "/v1/traces/cut", (JSON,), b'{"name": "app"}')

    def _ids_and_queries(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[Call]:
        """Each id hostile beside real ones. A call without a query removes nothing that is real: it has a hostile id, or none."""
        body = b"{}" if "requestBody" in operation else b""
        for name in re.findall(r"{(\w+)}", path):
            for value in IDS:
                target = self._target(path.replace("{" + name + "}", value))
                yield Call("curator", method, target, (JSON,), body)
        if method == "GET":
            yield Call("curator", method, self._target(path))
        for name in _queries(operation):
            for value in VALUES:
                yield Call("curator", method, f"{self._target(path)}?{name}={value}")

    def _target(self, path: str) -> str:
        """The path with real ids for those that it still leaves open."""
        for kind, name in (("datasets", "name"), ("benchmarks", "name"), ("evals", "file")):
            path = (
                path.replace("{" + name + "}", self._real[f"{kind}.{name}"])
                if path.startswith(f"/v1/{kind}/")
                else path
            )
        kind = "clusterings" if "/clusterings" in path else path.split("/")[2] if path.count("/") > 1 else ""
        if "{version}" in path and kind == "clusterings":  # the others would cluster it anew, each time
            path = path.replace("{run_log_id}", self._real["clustered_id"])
        path = path.replace("{version}", self._real.get(f"{kind}.version", ""))
        return re.sub(r"{(\w+)}", lambda found: self._real[found[1]], path)

    def _erasures(self) -> Iterator[Call]:
        """Single lines, by what looks like a reference to one of a real run log. `preview` erases nothing."""
        for line in (
            "0",
            "-1",
            str(2**70),
            "1e3",
            "question=",
            "question=\ud800",
            "trace=\x00",
            "x=1",
            "",
            ":",
            "question=" + "x" * 5000,
        ):
            body = {"lines": [f"{self._run_log_id}:{line}"], "preview": True}
            yield Call("curator", "POST", "/v1/erasures", (JSON,), as_json(body))

    def _bodies(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[Call]:
        target = self._target(path)
        target += "?name=made" if path in ("/v1/runlogs", "/v1/benchmarks") else ""
        kinds = [
            *operation["requestBody"]["content"],
            "text/html",
            "multipart/form-data",
            "application/json; charset=x",
        ]
        for body in BODIES:
            for kind in kinds:
                yield Call("curator", method, target, (("Content-Type", kind),), body)
            yield Call("curator", method, target, (("Content-Encoding", "gzip"),), body)
        schema = operation["requestBody"]["content"].get("application/json", {}).get("schema", {})
        for value in hostile_bodies(self._schema, schema) if "$ref" in schema else ():
            yield Call("curator", method, target, (JSON,), as_json(value))
        if path in LINES:
            model, good = LINES[path]
            document = model.model_json_schema()
            for lines in hostile_lines(document, document, good):
                yield Call("curator", method, target, (("Content-Type", "application/x-ndjson"),), lines)
        if path.endswith("/embedded"):
            for value in [*INNER_VALUES, "AA==", "/////w==", "x" * 5000]:
                clustered = target.replace(self._run_log_id, self._real["clustered_id"])
                line = as_json({"text": "x", "vector": value})
                yield Call("curator", method, f"{clustered}?embedder=x", (JSON,), line)

    def _strangers(self, method: str, path: str) -> Iterator[Call]:
        """No token, and what is nearly one; the page's session is none either."""
        if path in ("/healthz", "/readyz"):
            return
        for given in ("", "Bearer", "Bearer ", "Basic eDp4", "Bearer \x00", "Bearer x\tx", "Bearer " + "x" * 9000):
            yield Call("curator", method, _filled(path, "x"), (("Authorization", given),), b"{}", allowed=False)
        yield Call("curator", method, _filled(path, "x"), (self._page.cookie,), b"{}", allowed=False)


def _queries(operation: dict[str, Any]) -> list[str]:
    return [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]


def _filled(path: str, value: str) -> str:
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace("{" + name + "}", value)
    return path
