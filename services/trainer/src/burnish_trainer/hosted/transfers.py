"""Signs of progress while one call of an SDK moves a large file. Called by run.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beating(beat: Callable[[], None], seconds: float) -> Iterator[None]:
    """Beats meanwhile, so that the liveness check ends no transfer that takes longer than its limit.

    A transfer that stands still ends all the same: every SDK is given a limit for each read and write.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            beat()

    thread = threading.Thread(target=run, name="transfer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
