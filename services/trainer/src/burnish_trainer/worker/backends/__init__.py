"""Backends: the one seam between the methods and what loads `base model + adapter`. Called by context.py alone.

A backend is a module with `prepare()`, which must run before any other model library is imported, and
`load(request)`, which returns a peft.PeftModel with exactly one trainable adapter, named `default`. Which one is chosen:
hardware/backends.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from burnish.schemas.training.hyperparameters import LoraSpec, Quantization
from burnish_trainer.hardware.backends import Device, DType


@dataclass(frozen=True)
class ModelRequest:
    """initial_adapter: folder of an adapter to continue; None: a fresh one, whose first output equals the base's."""

    folder: Path
    lora: LoraSpec
    quantization: Quantization
    device: Device
    dtype: DType
    max_length: int
    seed: int
    initial_adapter: Path | None = None


def prepared(name: str) -> ModuleType:
    """The backend's module, after its `prepare`."""
    module = import_module(f"burnish_trainer.worker.backends.{name}")
    module.prepare()
    return module
