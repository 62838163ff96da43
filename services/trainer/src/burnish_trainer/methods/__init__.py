"""Training methods, one file each: `Params`, `LEARNING_RATE` and `run(spec, params, ctx)`.

Importing one is light, since the server reads its Params; torch is imported inside `run`. Methods never import each other.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, get_args

from burnish.errors import InvalidInputError
from burnish.schemas.tuning import Method


def named(name: str) -> Any:
    """The method's module."""
    if name not in get_args(Method):
        raise InvalidInputError(f"method: {name!r} is not one of {', '.join(get_args(Method))}", field="method")
    return import_module(f"burnish_trainer.methods.{name}")
