"""Training methods, one file each with `run(ctx, params)`. Called by the worker's main, after the backend is prepared.

What a method is called, takes and needs is declared in burnish.schemas.training.methods. Methods never import each other; what their
runs share is in loop/.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from burnish.schemas.training.methods import method_named


def named(name: str) -> Any:
    """The method's module. Imports torch, transformers and trl."""
    return import_module(f"burnish_trainer.worker.methods.{method_named(name)}")
