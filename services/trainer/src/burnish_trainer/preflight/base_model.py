"""What preflight knows of the base model: its tokenizer, its shape, its record. No weights are loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from burnish.errors import CorruptDataError
from burnish.schemas.base import BaseModelRef
from burnish.schemas.models import read_record
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
        return frozenset(
            name.split(".")[-2] for name, shape in self.tensors.items() if name.endswith(".weight") and len(shape) == 2
        )


def load_base_model(folder: Path) -> BaseModel:
    """NotFoundError if the folder has no record, CorruptDataError if its config or weight files cannot be read."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    record = read_record(folder)
    config = json.loads((folder / "config.json").read_bytes())
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CorruptDataError(f"{folder} has no .safetensors file: run set-up again")
    return BaseModel(
        folder=folder,
        ref=BaseModelRef(name=record.name, digest=record.digest),
        tokenizer=tokenizer,
        config=config.get("text_config", config),
        tensors={name: shape for file in files for name, shape in _shapes(file).items()},
        weight_bytes=sum(file.stat().st_size for file in files),
    )


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    with safe_open(file, framework="np") as tensors:
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118  # not a dict
