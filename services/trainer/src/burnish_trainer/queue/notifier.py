"""Wakes tasks that wait for a job to change, within one process. Only a hint: whoever waits then reads the queue itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

QUEUE = "queue"  # notified when a job may be free to be claimed


def requests_of(job_id: str) -> str:
    """The topic of what callers ask of a job, for the engine that holds it: its own changes must not wake it."""
    return f"requests/{job_id}"


class Subscription:
    """A change between two waits is not missed: `changed` then returns at once."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def changed(self, timeout_seconds: float) -> bool:
        """Whether there was a change; False after the timeout, when it is time to look, since another process may have made one."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), timeout_seconds)
        was_notified = self.event.is_set()
        self.event.clear()
        return was_notified


class Notifier:
    """Used from one event loop: the engine and the servicer notify, the engine and watchers wait."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)

    def notify(self, *topics: str) -> None:
        """topics: job ids, or QUEUE."""
        for topic in topics:
            for subscription in self._subscriptions.get(topic, ()):
                subscription.event.set()

    def requested(self, job_id: str) -> None:
        """A caller has asked something of a job: for its watchers, for the engine that holds it, and for those that may claim it."""
        self.notify(job_id, requests_of(job_id), QUEUE)

    @contextlib.contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions[topic].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[topic].discard(subscription)
            if not self._subscriptions[topic]:
                del self._subscriptions[topic]
