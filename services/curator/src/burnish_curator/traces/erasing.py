"""Traces that wait, without those of a user. Called by erasures."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from burnish.errors import PreconditionError
from burnish_curator.traces.inbox import Inbox, time_of
from burnish_curator.traces.service import TraceService

USER_KEYS = ("user.id", "enduser.id")


class TraceErasing:
    def __init__(self, traces: TraceService) -> None:
        self._traces = traces
        self._inbox: Inbox = traces.inbox

    def settle(self) -> None:
        """End cuts that a death ended, so that their lines are there to be erased. PreconditionError if another curator cuts."""
        for name in self._traces.planned():
            try:
                self._traces.cut(name)
            except PreconditionError:
                if name in self._traces.planned():
                    raise

    def touched(self, is_user: Callable[[str], bool], trace_ids: Collection[str]) -> int:
        """How many waiting objects hold a trace of the user, or one of these."""
        return sum(len(self._of(name, is_user, trace_ids)) for name in self._names())

    def erase(self, is_user: Callable[[str], bool], trace_ids: Collection[str]) -> int:
        """Rewrite those objects; how many there were. The new object first: a death in between leaves both, and the next call removes the old one."""
        count = 0
        for name in self._names():
            with self._traces.holding(name):
                for key, kept in self._of(name, is_user, trace_ids).items():
                    if kept:
                        self._inbox.put(name, kept, time_of(key))
                    self._inbox.delete(key)
                    count += 1
        return count

    def _names(self) -> list[str]:
        return [waiting.name for waiting in self._inbox.waiting()]

    def _of(
        self, name: str, is_user: Callable[[str], bool], trace_ids: Collection[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Key -> records that stay, of the objects with records that go."""
        records = {key: list(self._inbox.read(key)) for key in self._inbox.waiting_of(name).keys}
        theirs = set(trace_ids) | {
            record["trace_id"]
            for found in records.values()
            for record in found
            if any(is_user(str(record["attributes"][key])) for key in USER_KEYS if key in record.get("attributes", {}))
        }
        return {
            key: [record for record in found if record["trace_id"] not in theirs]
            for key, found in records.items()
            if any(record["trace_id"] in theirs for record in found)
        }
