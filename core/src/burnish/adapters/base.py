"""What an adapter is checked against: the layers of the base model that a LoRA may change, and their shapes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from burnish.adapters.tensors import read_header
from burnish.errors import InvalidInputError
from burnish.model_files import weight_files
from burnish.schemas.models import BaseModelRecord, read_record

IN_A_LAYER = re.compile(r"\.\d+\.")  # embeddings and the output head are in no numbered layer


@dataclass(frozen=True)
class BaseModel:
    """The served base. linears: module path -> (output features, input features)."""

    record: BaseModelRecord
    linears: dict[str, tuple[int, int]]

    @classmethod
    def open(cls, folder: Path) -> BaseModel:
        """Reads the record and the headers of the weights. InvalidInputError if there are none that can be read."""
        record = read_record(folder)
        linears: dict[str, tuple[int, int]] = {}
        for file in weight_files(folder):
            try:
                header = read_header(file)
            except ValueError as error:
                raise InvalidInputError(f"base model {folder}: {error}; run `make setup` again") from error
            for name, tensor in header.items():
                if name.endswith(".weight") and len(tensor.shape) == 2 and IN_A_LAYER.search(name):
                    linears[name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1])
        if not linears:
            raise InvalidInputError(
                f"base model {folder} has no *.safetensors with linear layers; vLLM and adapters need them"
            )
        return cls(record, linears)

    @property
    def target_modules(self) -> frozenset[str]:
        """Last parts of the module paths: q_proj, k_proj, …"""
        return frozenset(path.rpartition(".")[2] for path in self.linears)

    def largest_adapter_bytes(self, rank: int) -> int:
        """Size of fp32 weights at that rank on every linear layer: nothing larger can fit this base."""
        return sum(4 * rank * (out + inp) for out, inp in self.linears.values())
