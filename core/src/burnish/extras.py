"""Packages that only an extra installs. They are imported when first used, and a missing one is an error that names the extra.

scipy takes half a second to import, and most uses of the client need neither it nor optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from burnish.errors import PreconditionError

EXTRAS = {
    "scipy": "burnish-client[evaluation]",
    "optuna": "burnish-client[sweep]",
    "pyarrow": "burnish-client[traces]",
    "huggingface_hub": "burnish-client[models]",
    "sknetwork": "burnish-core[clusters]",
    "wordllama": "burnish-core[clusters]",
}


def require(module: str) -> Any:
    """The module, imported. Raises PreconditionError if its package is not installed."""
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise PreconditionError(
            f"this needs {package}, which is not installed: pip install '{EXTRAS[package]}'", package=package
        ) from error


class Late:
    """Stands for a module and imports it at the first use of one of its names. Raises PreconditionError as `require` does."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(require(self._module), name)
        setattr(self, name, value)  # the next use finds it without a call
        return value
