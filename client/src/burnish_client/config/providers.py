"""The credential with which a remote model is asked at its provider: from the environment, and sent to the place that it belongs to alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from burnish.errors import PreconditionError
from burnish.schemas.training.hosted import PROVIDERS, ProviderName, RemoteModel


def key_for(remote: RemoteModel, environment: Mapping[str, str] = os.environ) -> str:
    """The provider's key. PreconditionError if it is not set, or if the model is recorded at another address than this machine names.

    The record comes out of the bucket: an address in it that nobody here chose must not be sent the key.
    """
    declared = PROVIDERS[remote.provider]
    if declared.key_is_file:
        raise PreconditionError(
            f"{remote.model} answers at {remote.label} to tokens that expire, which `burnish eval` does not fetch: name the sides yourself "
            "with --base-url, --candidate-url and their models",
            field="adapter",
        )
    key = require_key(remote.provider, environment)
    here = environment.get(declared.address) or declared.usual_address
    if _origin(here) != _origin(remote.endpoint):
        raise PreconditionError(
            f"{remote.model} is recorded at {remote.endpoint}, and this machine speaks to {remote.provider} at {here}: the key is "
            f"not sent elsewhere. If you trust that address, set {declared.address}={remote.endpoint}",
            field="adapter",
        )
    return key


def require_key(provider: ProviderName, environment: Mapping[str, str] = os.environ) -> str:
    """The provider's key. PreconditionError if it is not set."""
    name = PROVIDERS[provider].key
    if not environment.get(name):
        raise PreconditionError(
            f"a model that stays at {provider} is asked there, and this machine has no key for it: set {name}",
            field="adapter",
        )
    return environment[name]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
