"""Cuts waiting traces into run logs. A cut that a crash ends is done again by the next one, and comes to the same run log."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any
from uuid import uuid4

import orjson

from burnish import layout
from burnish.errors import AlreadyExistsError, BurnishError, NotFoundError, PreconditionError
from burnish.ports import ObjectStore
from burnish.runlogs.readers import openinference, otel
from burnish.runlogs.traces.joining import Joiner
from burnish.runlogs.traces.mapping import Mapper
from burnish.runlogs.traces.pieces import MISSHAPEN
from burnish.runlogs.traces.scores import Rule, Scores
from burnish.schemas.runlog import RunLogImport
from burnish_curator.runlogs.repository import RunLogRepository
from burnish_curator.traces.inbox import Inbox, time_of

PLAN = "cut.plan"
QUIET_SECONDS = 30.0  # a trace of which something came within them may go on
MOST_BYTES = 64 << 20  # waiting, packed: then it is cut before its time
ABANDONED_SECONDS = 900.0  # a cut by another curator takes no longer
BLOCK_BYTES = 1 << 20
NANO = 1_000_000_000

log = logging.getLogger(__name__)


class TraceService:
    """seconds: how long traces wait. rules: for scores; a score without one is feedback, since nobody can be asked."""

    def __init__(
        self,
        store: ObjectStore,
        run_logs: RunLogRepository,
        spool: Path,
        seconds: float = 3600.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> None:
        self.inbox = Inbox(store)
        self._store, self._run_logs, self._spool = store, run_logs, spool
        self._seconds, self._rules = seconds, dict(rules or {})
        self._cutting = Lock()
        self._me = uuid4().hex  # a plan of this process is of a cut that failed, since one cut runs at a time

    def cut_due(self) -> None:
        """Cut what has waited long enough, or is large. An error of one name is logged and leaves the others."""
        for waiting in self.inbox.waiting():
            age = (time.time_ns() - waiting.oldest_ns) / NANO
            if age < self._seconds and waiting.size_bytes < MOST_BYTES:
                continue
            try:
                self.cut(waiting.name)
            except PreconditionError:
                continue
            except BurnishError as error:
                log.warning("the traces of %s wait on: %s", waiting.name, error.message)

    def cut(self, name: str, at_once: bool = False) -> RunLogImport:
        """A run log of the model calls that wait under this name. PreconditionError if there are none, or another curator cuts them.

        at_once: also of traces that may go on; else those wait for the next cut.
        """
        with self._cutting:
            plan = self._plan(name, at_once)
            present = set(self.inbox.waiting_of(name).keys)
            imported = self._import(name, plan) if present.issuperset(plan["keys"]) else None
            for key in plan["keys"]:
                self._store.delete(key)
            self._store.delete(layout.inbox(name, PLAN))
        if imported is None:
            raise PreconditionError(
                f"no model call of {name!r} is complete yet: traces wait {QUIET_SECONDS:g} s for their last span"
            )
        log.info("the traces of %s are run log %s, of %d lines", name, imported.manifest.id, imported.manifest.accepted)
        return imported

    def planned(self) -> list[str]:
        """Names whose traces are being cut, or were when a curator died."""
        found = (info.key.split("/") for info in self._store.list(layout.INBOX))
        return [name for _, name, file in found if file == PLAN]

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Nobody cuts the traces of this name meanwhile, in any curator. PreconditionError if somebody does now."""
        key, plan = layout.inbox(name, PLAN), {"keys": [], "until_ns": time.time_ns(), "quiet_ns": 0, "by": self._me}
        with self._cutting:
            try:
                self._store.put_if_absent(key, orjson.dumps(plan))
            except AlreadyExistsError:
                if orjson.loads(self._store.get(key))["keys"]:  # else one that held them died
                    raise PreconditionError(f"the traces of {name!r} are being cut: ask again in a while") from None
            try:
                yield
            finally:
                self._store.delete(key)

    def _plan(self, name: str, at_once: bool) -> dict[str, Any]:
        """Which objects are cut, written down first: by this call, or by one that a crash ended."""
        key = layout.inbox(name, PLAN)
        keys = self.inbox.waiting_of(name).keys
        now = time.time_ns()
        plan = {"keys": keys, "until_ns": now, "quiet_ns": 0 if at_once else int(QUIET_SECONDS * NANO), "by": self._me}
        try:
            if keys:
                self._store.put_if_absent(key, orjson.dumps(plan))
                return plan
        except AlreadyExistsError:
            pass
        try:
            earlier: dict[str, Any] = orjson.loads(self._store.get(key))
        except NotFoundError:
            raise PreconditionError(f"no traces of {name!r} wait: `GET /v1/traces` lists those that do") from None
        if earlier["by"] != self._me and now - earlier["until_ns"] < ABANDONED_SECONDS * NANO:
            raise PreconditionError(f"another curator cuts the traces of {name!r}: ask again in a while")
        return earlier

    def _import(self, name: str, plan: dict[str, Any]) -> RunLogImport | None:
        young_from = plan["until_ns"] - plan["quiet_ns"]
        recent = [key for key in plan["keys"] if time_of(key) >= young_from]
        young = {record["trace_id"] for key in recent for record in self.inbox.read(key)}
        young = young if plan["quiet_ns"] else set()
        with tempfile.TemporaryFile(dir=self._spool) as spool, Joiner(self._spool) as joiner:
            kept = list(self._join(plan["keys"], joiner, young))
            lines = self._write(joiner, spool)
            if kept:
                self.inbox.put(name, kept, plan["until_ns"])
            if not lines:
                return None
            spool.seek(0)
            return self._run_logs.ingest(name, _blocks(spool))

    def _join(self, keys: Sequence[str], joiner: Joiner, young: set[str]) -> Iterator[dict[str, Any]]:
        """Give the joiner what is complete; yields the records of traces that may go on."""
        for key in keys:
            for record in self.inbox.read(key):
                if record["trace_id"] in young:
                    yield record
                    continue
                reader = openinference if openinference.recognise(record) and not otel.recognise(record) else otel
                try:
                    joiner.add(list(reader.read(record)))
                except MISSHAPEN as error:
                    log.warning("span %s of %s is left out: %s", record.get("span_id"), key, error)

    def _write(self, joiner: Joiner, spool: IO[bytes]) -> int:
        mapper, lines = Mapper(Scores(self._rules)), 0
        for trace in joiner.traces():
            for line in mapper.lines(trace):
                spool.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))
                lines += 1
        if mapper.scores.open:
            log.warning("scores without a rule are kept as feedback: %s", ", ".join(mapper.scores.open))
        return lines


def _blocks(spool: IO[bytes]) -> Iterator[bytes]:
    while block := spool.read(BLOCK_BYTES):
        yield block
