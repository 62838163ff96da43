"""The burnish command, the Python SDK, the eval client and the embedded stack. Must not import a service.

The SDK: `from burnish_client import CuratorClient, TrainerClient, InferenceClient`. A client is loaded when it is first
asked for, since gRPC is slow to import and the command line must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.inference import InferenceClient
    from burnish_client.sdk.trainer import TrainerClient

__all__ = ["CuratorClient", "InferenceClient", "TrainerClient"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"burnish_client.sdk.{name.removesuffix('Client').lower()}"), name)
