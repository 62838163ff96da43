"""A processor in a card's place: it is taken by writing who has it into a file, and free again once that process has ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

CARD_BYTES = 24 * 10**9


class Card:
    """What is free of it counts for the lease, as the driver's figure does for a GPU."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self) -> None:
        self._file.write_text(f"{os.getpid()} {_began(os.getpid())}")

    def leave(self) -> None:
        self._file.unlink(missing_ok=True)

    def is_taken(self) -> bool:
        """Whether the process that took it lives. Its number alone may be another one's by now."""
        try:
            pid, began = self._file.read_text().split()
            return _began(int(pid)) == began
        except (OSError, ValueError):
            return False

    def free_bytes(self, names: Sequence[str]) -> int:
        return 0 if self.is_taken() else CARD_BYTES


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if it has ended, and nobody has waited for it yet."""
    state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]
