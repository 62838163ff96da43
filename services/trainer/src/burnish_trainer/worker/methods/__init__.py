"""Training methods, one file each with `run(spec, params, ctx)`. Called by the worker's main.

What a method is called, takes and needs is declared in burnish.schemas.methods. torch is imported inside `run`. Methods never
import each other.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from burnish.schemas.methods import method_named


def named(name: str) -> Any:
    """The method's module."""
    return import_module(f"burnish_trainer.worker.methods.{method_named(name)}")
