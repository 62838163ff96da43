"""Which backend loads the model: decided by preflight (for the estimate), by the executor (for a warm worker) and by the worker."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from burnish.errors import PreconditionError
from burnish.schemas.training.job import Backend

Device = Literal["cpu", "cuda"]
DType = Literal["bfloat16", "float16", "float32"]


@dataclass(frozen=True)
class Choice:
    """Which backend trains, and the sentence that says why."""

    name: Literal["peft", "unsloth"]
    why: str


def choose(asked: Backend, device: Device) -> Choice:
    """auto: unsloth if CUDA and the package are present, else peft. PreconditionError if what was asked for is not possible."""
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
