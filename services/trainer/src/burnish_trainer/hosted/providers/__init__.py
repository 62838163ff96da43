"""A file for each provider of burnish.schemas.training.hosted.PROVIDERS, with `connect`. They import their SDK late, and never each other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from burnish.errors import PreconditionError
from burnish.schemas.training.hosted import ProviderName
from burnish_trainer.hosted.provider import Provider


def connect(name: ProviderName, access: Mapping[str, str]) -> Provider:
    """access: the provider's variables. PreconditionError if its SDK is not installed."""
    try:
        provider: Provider = import_module(f"burnish_trainer.hosted.providers.{name}").connect(access)
    except ImportError as error:
        raise PreconditionError(
            f"the trainer has no SDK of {name} ({error}): pip install 'burnish-trainer[{name}]'"
        ) from error
    return provider
