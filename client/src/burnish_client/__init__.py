"""The burnish command, the Python SDK, the eval client and the embedded stack. Must not import a service.

The SDK: `from burnish_client import CuratorClient, …` (docs/sdk.md). A name is loaded when it is first asked for, since gRPC is
slow to import and the command line must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetSpec
    from burnish.verdict import Thresholds, decide, read_rows
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation.comparison import Evaluation, evaluate
    from burnish_client.evaluation.request import (
        Endpoint,
        EvalInputs,
        EvalRequest,
        Sampling,
        read_benchmark,
        run_log_rows,
    )
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.inference import InferenceClient
    from burnish_client.sdk.job_spec import tuning_spec
    from burnish_client.sdk.trainer import TrainerClient

__all__ = [
    "ClientSettings",
    "CuratorClient",
    "DatasetSpec",
    "Endpoint",
    "EvalInputs",
    "EvalRequest",
    "Evaluation",
    "InferenceClient",
    "Sampling",
    "Thresholds",
    "TrainerClient",
    "decide",
    "evaluate",
    "read_benchmark",
    "read_rows",
    "run_log_rows",
    "tuning_spec",
]

_MODULES = {
    "burnish.schemas.dataset": ("DatasetSpec",),
    "burnish.verdict": ("Thresholds", "decide", "read_rows"),
    "burnish_client.config.endpoints": ("ClientSettings",),
    "burnish_client.evaluation.comparison": ("Evaluation", "evaluate"),
    "burnish_client.evaluation.request": (
        "Endpoint",
        "EvalInputs",
        "EvalRequest",
        "Sampling",
        "read_benchmark",
        "run_log_rows",
    ),
    "burnish_client.sdk.curator": ("CuratorClient",),
    "burnish_client.sdk.inference": ("InferenceClient",),
    "burnish_client.sdk.job_spec": ("tuning_spec",),
    "burnish_client.sdk.trainer": ("TrainerClient",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
