"""Wakes tasks that wait for a job to change, within one process. Only a hint: whoever waits then reads the queue itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

QUEUE = "queue"  # notified when a job may be free to be claimed


class Subscription:
    """A change between two waits is not missed: `changed` then returns at once."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def changed(self, timeout_seconds: float) -> None:
        """Return when the job may have changed; at the latest after the timeout, since another process may have changed it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), timeout_seconds)
        self.event.clear()


class Notifier:
    """Used from one event loop: the engine and the servicer notify, the engine and watchers wait."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)

    def notify(self, *topics: str) -> None:
        """topics: job ids, or QUEUE."""
        for topic in topics:
            for subscription in self._subscriptions.get(topic, ()):
                subscription.event.set()

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
