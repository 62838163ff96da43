"""What no client sends, to every route: each is answered as the caller's mistake, and nothing in the log is a defect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration.curator.process import CuratorProcess
from runlog_making import jsonl, repeated_failures

IDS = [
    "..%5c..%5cetc", "%2e%2e%2fx", "%00", "a%00b", "%ff%fe", "%ed%a0%80", "%F0%9F%99%83", "%0d%0aX:1", "x" * 3000, "'%20or%201=1", "%25s%25n",
    "a@b", "@", ".", "..", "-1", "0" * 16, "%E2%80%AEgnp",
]  # fmt: skip
VALUES = [
    "",
    "%00",
    "-1",
    str(2**70),
    "1e400",
    "NaN",
    "%ed%a0%80",
    "x" * 5000,
    "..%5c",
    "%E2%80%AE",
    "true",
    "[]",
    "%ff",
]
DEEP = b"[" * 900 + b"]" * 900
BODIES = [
    b"", b"null", b"[]", b"{", b"\xff\xfe", b"\x00", b'"\\ud800"', DEEP, b'{"a":' * 900 + b"1" + b"}" * 900, b"1e999", b"[" * 5000,
    json.dumps({"seed": 2**70}).encode(),
]  # fmt: skip
HOSTILE_VALUES: list[Any] = [
    2**70, -1, "", "\x00", "\ud800", "x" * 5000, "..\\x", "../x", None, [], {}, ["\x00"], ["l"] * 5000, True, 1e308, {"a": {"a": {}}},
]  # fmt: skip


@pytest.fixture(scope="module")
def schema(curator: CuratorProcess) -> dict[str, Any]:
    with curator.client() as client:
        log = jsonl(repeated_failures({"not-json": 3}, passing_questions=3))
        assert client.post("/v1/runlogs", params={"name": "real"}, content=log).status_code == 200
        found: dict[str, Any] = client.get("/openapi.json").json()
    return found


class Asked:
    """Remembers what was answered with a 500, or not at all."""

    def __init__(self, curator: CuratorProcess, client: httpx.Client) -> None:
        self.curator, self.client, self.defects, self.calls = curator, client, [], 0  # type: ignore[var-annotated]

    def ask(self, method: str, path: str, **request: Any) -> None:
        self.calls += 1
        answer = self.client.request(method, self.curator.url + path, **request)
        if answer.status_code >= 500:
            self.defects.append((method, path[:200], str(request)[:200], answer.status_code, answer.text[:200]))


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def filled(path: str, value: str) -> str:
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace("{" + name + "}", value)
    return path


def test_ids_and_queries(curator: CuratorProcess, schema: dict[str, Any]) -> None:
    with curator.client() as client:
        asked = Asked(curator, client)
        for method, path, operation in operations(schema):
            for value in IDS if "{" in path else ():
                asked.ask(method, filled(path, value), content=b"{}" if method in ("POST", "PUT", "PATCH") else None)
            queries = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            for name in queries:
                for value in VALUES:
                    asked.ask(method, f"{filled(path, 'real')}?{name}={value}")
    assert asked.calls > 400
    assert asked.defects == []


def test_bodies(curator: CuratorProcess, schema: dict[str, Any]) -> None:
    with curator.client() as client:
        asked = Asked(curator, client)
        for method, path, operation in operations(schema):
            if "requestBody" not in operation:
                continue
            for body in BODIES:
                for kind in operation["requestBody"]["content"]:
                    query = "?name=made" if path in ("/v1/runlogs", "/v1/benchmarks") else ""
                    asked.ask(method, filled(path, "real") + query, content=body, headers={"Content-Type": kind})
            for name in fields(schema, operation):
                for value in HOSTILE_VALUES:
                    body = json.dumps({**least(schema, operation), name: value}).encode()
                    asked.ask(method, filled(path, "real"), content=body, headers={"Content-Type": "application/json"})
    assert asked.calls > 100
    assert asked.defects == []


def resolved(schema: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    content = operation["requestBody"]["content"].get("application/json", {})
    body = content.get("schema", {})
    name = body.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = schema["components"]["schemas"][name] if name else body
    return found


def fields(schema: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    return list(resolved(schema, operation).get("properties", {}))


def least(schema: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """What is needed at least, as far as a word or a list of words does."""
    body = resolved(schema, operation)
    made = {}
    for name in body.get("required", []):
        kind = body["properties"][name].get("type")
        made[name] = {"array": ["not-json"], "integer": 1, "number": 1, "object": {}}.get(kind, "real")
    return made


def test_nothing_of_that_was_a_defect(curator: CuratorProcess, tmp_path: Path) -> None:
    assert [line[:3000] for line in curator.log().splitlines() if "Traceback" in line] == []
    with curator.client() as client:
        assert client.get("/readyz").status_code == 200
