"""What preflight knows of the base model: its tokenizer, its shape, its record. No weights are loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from burnish.errors import CorruptDataError
from burnish.model_files import read_config, weight_files
from burnish.schemas.base import BaseModelRef
from burnish.schemas.models import read_record
from burnish.schemas.training.hyperparameters import PROJECTIONS
from burnish_trainer.data.tokenizer import load_tokenizer
from burnish_trainer.data.tokens import Tokenizer
from burnish_trainer.preflight.types import ModelShape


@dataclass(frozen=True)
class BaseModel:
    """A base model folder, read once. tensors: name -> shape, from the weight files' headers."""

    folder: Path
    ref: BaseModelRef
    tokenizer: Tokenizer
    config: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]
    weight_bytes: int

    @cached_property
    def shape(self) -> ModelShape:
        config = self.config
        heads = config["num_attention_heads"]
        return ModelShape(
            parameters=sum(prod(shape) for shape in self.tensors.values()),
            hidden_size=config["hidden_size"],
            intermediate_size=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            attention_heads=heads,
            key_value_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
            weight_bytes=self.weight_bytes,
        )

    @property
    def context_tokens(self) -> int | None:
        """Positions that the model was made for; None if its config does not say."""
        return self.config.get("max_position_embeddings")

    @property
    def special_tokens(self) -> list[str]:
        return list(self.tokenizer.all_special_tokens)

    @cached_property
    def layers(self) -> frozenset[str]:
        """Last names of the modules that have a weight matrix: q_proj, lm_head, …"""
        return _layers(self.tensors)

    @property
    def projections(self) -> tuple[str, ...]:
        """Modules that an adapter changes unless a job names others."""
        return _projections(self.layers)


def load_base_model(folder: Path) -> BaseModel:
    """NotFoundError if the folder has no record, CorruptDataError if its config or weight files cannot be read."""
    tokenizer = load_tokenizer(folder)
    record = read_record(folder)
    config = read_config(folder)
    files = weight_files(folder)
    if not files:
        raise CorruptDataError(f"{folder} has no .safetensors file: run set-up again")
    return BaseModel(
        folder=folder,
        ref=BaseModelRef(name=record.name, digest=record.digest),
        tokenizer=tokenizer,
        config=config.get("text_config", config),
        tensors=read_tensor_shapes(files),
        weight_bytes=sum(file.stat().st_size for file in files),
    )


def read_projections(folder: Path) -> tuple[str, ...]:
    """BaseModel.projections, of the weight files' headers alone."""
    return _projections(_layers(read_tensor_shapes(weight_files(folder))))


def _projections(layers: Collection[str]) -> tuple[str, ...]:
    return tuple(module for module in PROJECTIONS if module in layers)


def _layers(tensors: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    return frozenset(
        name.split(".")[-2] for name, shape in tensors.items() if name.endswith(".weight") and len(shape) == 2
    )


def read_tensor_shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Of weight files' headers: name -> shape."""
    return {name: shape for file in files for name, shape in _shapes(file).items()}


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(file, framework="np") as tensors:
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118  # not a dict
