"""A cache in memory with a bound on what it holds, for things that are made of text that anybody may send."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SizedCache(Generic[Value]):
    """What was used longest ago goes once the sizes are more than `most` together. Thread-safe: the worst a race does is to make one twice."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value of the key, made if it is not there. What `make` raises is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value = make()
        entry = value, size(value)
        with self._lock:
            self._size += entry[1] - self._kept.pop(key, (value, 0))[1]
            self._kept[key] = entry
            while self._size > self._most:
                self._size -= self._kept.popitem(last=False)[1][1]
        return value
