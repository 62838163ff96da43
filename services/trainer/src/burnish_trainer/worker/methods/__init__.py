"""Training methods, one file each: `Params`, `FORMAT`, `REFERENCE`, `LEARNING_RATE` and `run(spec, params, ctx)`.

FORMAT: the dataset format that it trains on. REFERENCE: True where the loss holds the policy against a reference model (the
base, or the adapter that is continued), whose log-probabilities references.py computes once and keeps.
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
    return import_module(f"burnish_trainer.worker.methods.{name}")
