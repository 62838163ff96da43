"""Where traces wait: `traces/<name>/<time>-<digest>.jsonl.gz`, one object a request, flat spans as JSON lines."""

from __future__ import annotations

import gzip
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from burnish import layout
from burnish.digests import version_of
from burnish.errors import InvalidInputError
from burnish.ports import ObjectStore
from burnish.runlogs.readers import openinference, otel
from burnish.runlogs.traces import otlp
from burnish.runlogs.traces.pieces import MISSHAPEN

SUFFIX = ".jsonl.gz"
NAMELESS = "traces"
KEPT = ("user.id", "enduser.id", "session.id", "gen_ai.conversation.id")  # of a span that is no model's


@dataclass(frozen=True)
class Waiting:
    """Objects of one name, oldest first. oldest_ns: when the first came, since 1970."""

    name: str
    keys: list[str]
    size_bytes: int
    oldest_ns: int


class Inbox:
    """Thread-safe: every write is an object of its own."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def add(self, document: dict[str, Any], now_ns: int | None = None) -> int:
        """Keep the spans of an OTLP document, by the `service.name` of their resource; how many there were. They are in the bucket on return.

        InvalidInputError if the document is none.
        """
        by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
        try:
            for record in otlp.unpack(document):
                if record.get("trace_id") and "span_id" in record:
                    by_name[log_name(record.get("resource", {}).get("service.name"))].append(_kept(record))
        except MISSHAPEN as error:
            raise InvalidInputError(
                f"the body is no ExportTraceServiceRequest ({type(error).__name__}: {error})"
            ) from error
        for name, records in by_name.items():
            self.put(name, records, time.time_ns() if now_ns is None else now_ns)
        return sum(map(len, by_name.values()))

    def put(self, name: str, records: Iterable[dict[str, Any]], at_ns: int) -> None:
        """The same records at the same time are the same object."""
        lines = b"".join(orjson.dumps(record, default=str) + b"\n" for record in records)
        key = layout.inbox(name, f"{at_ns:020d}-{version_of(lines)}{SUFFIX}")
        self._store.put(key, gzip.compress(lines, 1, mtime=0))

    def read(self, key: str) -> Iterator[dict[str, Any]]:
        for line in gzip.decompress(self._store.get(key)).splitlines():
            yield orjson.loads(line)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def waiting(self) -> list[Waiting]:
        """By name; names without traces are left out."""
        found = (self.waiting_of(name) for name in self._store.list_folders(layout.INBOX))
        return [waiting for waiting in found if waiting.keys]

    def waiting_of(self, name: str) -> Waiting:
        infos = sorted(
            (info for info in self._store.list(layout.inbox(name, "x")[:-1]) if info.key.endswith(SUFFIX)),
            key=lambda info: info.key,
        )
        keys = [info.key for info in infos]
        return Waiting(name, keys, sum(info.size_bytes for info in infos), time_of(keys[0]) if keys else 0)


def time_of(key: str) -> int:
    """When the traces of this object came, in nanoseconds since 1970."""
    return int(key.rpartition("/")[2].partition("-")[0])


def log_name(service: Any) -> str:
    """The run log's name for a service: what cannot be part of a key becomes a hyphen."""
    name = re.sub(r"[^a-z0-9._-]+", "-", str(service or "").lower()).strip("._-")[:63]
    return name or NAMELESS


def _kept(record: dict[str, Any]) -> dict[str, Any]:
    """All of a span that a reader knows; of another one its place in the trace."""
    if otel.recognise(record) or openinference.recognise(record):
        return record
    held = {key: value for key, value in record["attributes"].items() if key in KEPT}
    return record | {"attributes": held, "events": [], "resource": {}}
