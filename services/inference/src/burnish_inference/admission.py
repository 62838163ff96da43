"""Fair shares of the engine: how many tokens each caller may have in flight, and whose turn it is. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count

from burnish.errors import ResourceExhaustedError

MOST_WAITING = 1024  # requests of one caller; each keeps its body in memory


@dataclass(frozen=True)
class _Turn:
    number: int
    tokens: int
    given: asyncio.Future[None]


class Admission:
    """Of one event loop. A caller may have as many tokens in flight as are free.

    So a caller alone has half of the capacity, n greedy ones have 1/(n+1) each, and as much is free for the next one: it is
    admitted at once, whatever waits. Of those that wait, the caller with the fewest tokens in flight comes first (of
    several, whose request is oldest), and nobody overtakes it, so that a large request is not starved by small ones.

    Source: Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches" (1998), alpha = 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity  # tokens; may be changed at any time
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Turn]] = {}
        self._numbers = count()

    async def enter(self, caller: str, tokens: int) -> int:
        """Wait for room; how many tokens to give back by `leave`. One request counts as half of the capacity at most.

        ResourceExhaustedError if too many requests of this caller wait already.
        """
        tokens = max(1, min(tokens, self.capacity // 2))
        line = self._waiting.setdefault(caller, deque())
        if len(line) >= MOST_WAITING:
            raise ResourceExhaustedError(
                f"{MOST_WAITING} requests of yours wait already: wait for answers before you send more"
            )
        turn = _Turn(next(self._numbers), tokens, asyncio.get_running_loop().create_future())
        line.append(turn)
        self._admit()
        try:
            await turn.given
        except asyncio.CancelledError:
            if turn.given.cancelled():
                self._admit()
            else:  # given in the same moment
                self.leave(caller, tokens)
            raise
        return tokens

    def leave(self, caller: str, tokens: int) -> None:
        self._held[caller] -= tokens
        if not self._held[caller]:
            del self._held[caller]
        self._admit()

    def _admit(self) -> None:
        lines = {
            caller: deque(turn for turn in line if not turn.given.cancelled()) for caller, line in self._waiting.items()
        }
        self._waiting = {caller: line for caller, line in lines.items() if line}
        while self._waiting:
            caller = min(self._waiting, key=lambda each: (self._held[each], self._waiting[each][0].number))
            turn = self._waiting[caller][0]
            if self._held and self._held[caller] + turn.tokens > self.capacity - self._held.total():
                return
            self._waiting[caller].popleft()
            if not self._waiting[caller]:
                del self._waiting[caller]
            self._held[caller] += turn.tokens
            turn.given.set_result(None)
