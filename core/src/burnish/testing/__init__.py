"""Fakes and builders for tests, ours and other people's: nothing in here is used by a running service."""

from burnish.objectstores.memory import MemoryObjectStore
from burnish.testing.rows import eval_row, eval_side
from burnish.testing.seaweed import Seaweed, running_seaweed

__all__ = ["MemoryObjectStore", "Seaweed", "eval_row", "eval_side", "running_seaweed"]
