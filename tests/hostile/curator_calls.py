"""Hostile calls to the curator: each route of its schema by the table and by hypothesis, the review page, and HTTP itself."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from hostile.sending import Call
from hostile.trace_fuzz import requests
from hostile.values import BODIES, HOSTILE_VALUES, IDS, VALUES, as_json, drawn, json_values, raw_bytes, texts
from hypothesis import strategies as st
from runlog_making import jsonl, repeated_failures

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
Operation = tuple[str, str, dict[str, Any]]


class CuratorCalls:
    """of: `http`, a client with the token, of a curator. It imports a run log so that some ids exist."""

    def __init__(self, http: httpx.Client, token: str) -> None:
        imported = http.post("/v1/runlogs", params={"name": "real"}, content=jsonl(repeated_failures({"not-json": 3})))
        self._run_log_id = imported.raise_for_status().json()["manifest"]["id"]
        self._schema: dict[str, Any] = http.get("/openapi.json").json()
        signed_in = http.post("/review/sign-in", data={"token": token, "next": "/review"})
        self._cookie = ("Cookie", signed_in.headers["set-cookie"].partition(";")[0])
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
        yield from self._review_page()
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
        for value in IDS if "{" in path else ():
            yield Call("curator", method, _filled(path, value), (JSON,), b"{}" if "requestBody" in operation else b"")
        for name in _queries(operation):
            for value in VALUES:
                yield Call("curator", method, f"{_filled(path, self._run_log_id)}?{name}={value}")

    def _bodies(self, method: str, path: str, operation: dict[str, Any]) -> Iterator[Call]:
        target = _filled(path, self._run_log_id)
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
        for name in _fields(self._schema, operation):
            for value in HOSTILE_VALUES:
                yield Call("curator", method, target, (JSON,), as_json(_least(self._schema, operation) | {name: value}))

    def _strangers(self, method: str, path: str) -> Iterator[Call]:
        """No token, and what is nearly one; the page's session is none either."""
        if path in ("/healthz", "/readyz"):
            return
        for given in ("", "Bearer", "Bearer ", "Basic eDp4", "Bearer \x00", "Bearer x\tx", "Bearer " + "x" * 9000):
            yield Call("curator", method, _filled(path, "x"), (("Authorization", given),), b"{}", allowed=False)
        yield Call("curator", method, _filled(path, "x"), (self._cookie,), b"{}", allowed=False)

    def _review_page(self) -> Iterator[Call]:
        page = f"/review/{self._run_log_id}"
        for name in ("label", "slice", "show", "item", "after", "edit", "done"):
            for value in VALUES:
                yield Call("curator", "GET", f"{page}?{name}={value}", (self._cookie,))
        for many in (50, 1000, 5000):
            labels = "&".join(f"label={number:04d}" for number in range(many))
            yield Call("curator", "GET", f"{page}?{labels}", (self._cookie,), well_formed=many < 5000)
        for value in IDS:
            yield Call("curator", "GET", f"/review/{value}", (self._cookie,))
        for action in ("corrections", "undo", "lease", "bulk"):
            yield from self._forged_forms(f"{page}/{action}")
        for value in ("//evil.example", "/review/../x", "/review/\\evil.example", "https://evil.example", "\x00"):
            form = urlencode({"token": "wrong", "next": value}).encode()
            yield Call("curator", "POST", "/review/sign-in", (FORM,), form, allowed=False)

    def _forged_forms(self, target: str) -> Iterator[Call]:
        """Another site's form, sent by a browser that is signed in: the session is right, the form's token is not."""
        fields = {"question_id": "not-json-000", "failure_label": "not-json", "corrected_output": "owned"}
        for forged in ("", "x", self._cookie[1], "\x00", "é" * 10):
            form = urlencode(fields | {"form_token": forged}).encode()
            origin = (("Origin", "https://evil.example"), ("Referer", "https://evil.example/x"))
            yield Call("curator", "POST", target, (self._cookie, FORM, *origin), form, allowed=False)
        for kind, body in (
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=", b"--\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\n\x00\xff: \r\n\r\n--x--"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a; filename=../x\r\n\r\n1\r\n--x--\r\n"),
            ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
            ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 2000 + b"--x--"),
            ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(3000))),
            ("application/x-www-form-urlencoded", b"%ff=%ff&form_token=%00&question_id=%ed%a0%80"),
        ):  # fmt: skip
            yield Call("curator", "POST", target, (self._cookie, ("Content-Type", kind)), body, allowed=False)
            yield Call("curator", "POST", "/review/sign-in", (("Content-Type", kind),), body, allowed=False)


def _queries(operation: dict[str, Any]) -> list[str]:
    return [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]


def _filled(path: str, value: str) -> str:
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace("{" + name + "}", value)
    return path


def _body_schema(schema: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    body = operation["requestBody"]["content"].get("application/json", {}).get("schema", {})
    name = body.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["schemas"][name] if name else body
    return found


def _fields(schema: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    return list(_body_schema(schema, operation).get("properties", {}))


def _least(schema: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """What is needed at least, as far as a word or a list of words does."""
    body = _body_schema(schema, operation)
    made = {}
    for name in body.get("required", []):
        kind = body["properties"][name].get("type")
        made[name] = {"array": ["not-json"], "integer": 1, "number": 1, "object": {}}.get(kind, "real")
    return made
