"""The burnish command, the Python SDK, the eval client and the embedded stack. Must not import a service.

The SDK: `from burnish_client import CuratorClient, …` (docs/sdk.md). A name is loaded when it is first asked for, since gRPC is
slow to import and the command line must start at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetSpec as DatasetSpec
    from burnish.verdict import Thresholds as Thresholds
    from burnish.verdict import decide as decide
    from burnish.verdict import read_rows as read_rows
    from burnish_client.config.endpoints import ClientSettings as ClientSettings
    from burnish_client.evaluation.comparison import Evaluation as Evaluation
    from burnish_client.evaluation.comparison import evaluate as evaluate
    from burnish_client.evaluation.request import Endpoint as Endpoint
    from burnish_client.evaluation.request import EvalInputs as EvalInputs
    from burnish_client.evaluation.request import EvalRequest as EvalRequest
    from burnish_client.evaluation.request import Sampling as Sampling
    from burnish_client.evaluation.request import read_benchmark as read_benchmark
    from burnish_client.evaluation.request import run_log_rows as run_log_rows
    from burnish_client.sdk.adapters import Adapters as Adapters
    from burnish_client.sdk.curator import CuratorClient as CuratorClient
    from burnish_client.sdk.inference import InferenceClient as InferenceClient
    from burnish_client.sdk.job_spec import tuning_spec as tuning_spec
    from burnish_client.sdk.trainer import TrainerClient as TrainerClient

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
    "burnish_client.sdk.adapters": ("Adapters",),
    "burnish_client.sdk.curator": ("CuratorClient",),
    "burnish_client.sdk.inference": ("InferenceClient",),
    "burnish_client.sdk.job_spec": ("tuning_spec",),
    "burnish_client.sdk.trainer": ("TrainerClient",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)
