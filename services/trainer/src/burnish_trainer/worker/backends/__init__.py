"""Backends: the one seam between the methods and what loads `base model + adapter`. No torch is imported here.

A backend is a module with `prepare()`, which must run before any other model library is imported, and
`load(request)`, which returns a peft.PeftModel with exactly one trainable adapter, named `default`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

from burnish.errors import PreconditionError
from burnish.schemas.hyperparameters import LoraSpec
from burnish.schemas.job import Backend, Quantization

Device = Literal["cpu", "cuda"]
DType = Literal["bfloat16", "float16", "float32"]


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


@dataclass(frozen=True)
class Choice:
    """Which backend trains, and the sentence that says why."""

    name: Literal["peft", "unsloth"]
    why: str

    def module(self) -> ModuleType:
        return import_module(f"burnish_trainer.worker.backends.{self.name}")


def choose(asked: Backend, device: Device) -> Choice:
    """auto: unsloth where CUDA and the package are there, else peft. PreconditionError where what was asked cannot be."""
    installed = find_spec("unsloth") is not None
    if asked == "peft":
        return Choice("peft", "backend peft, as asked")
    if asked == "unsloth":
        if device != "cuda" or not installed:
            missing = "a CUDA device" if device != "cuda" else "the unsloth package"
            raise PreconditionError(f"backend unsloth needs {missing}: ask for peft, or leave the backend unset")
        return Choice("unsloth", "backend unsloth, as asked")
    if device != "cuda":
        return Choice("peft", "backend peft: there is no CUDA device")
    if not installed:
        return Choice("peft", "backend peft: CUDA is there, the unsloth package is not")
    return Choice("unsloth", "backend unsloth: CUDA and the package are there")
