"""Wakes those who wait for a job to change, within one process. A hint only: whoever waits looks at the queue itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator

QUEUE = "queue"  # told where a job may be free to be claimed


class Subscription:
    """What happened between two looks is not missed: `changed` returns at once when it came before the wait."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()

    async def changed(self, timeout_seconds: float) -> None:
        """Return when the job may have changed; at the latest after the timeout, since another process may have changed it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_seconds)
        self._event.clear()


class News:
    """Used from one event loop: engine and servicer tell, engine and watchers wait."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)

    def tell(self, job_id: str) -> None:
        for subscription in self._subscriptions.get(job_id, ()):
            subscription.tell()

    @contextlib.contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        subscription = Subscription()
        self._subscriptions[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]
