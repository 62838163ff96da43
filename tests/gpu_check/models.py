"""Base models of given shapes with random weights, so that nothing is fetched: speed and memory depend on the shape alone.

`python -m gpu_check.models <shape> <tokenizer folder> <folder> <device>` makes one, in a process that leaves nothing on the GPU.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from burnish.digests import model_digest
from burnish.schemas.models import RECORD, BaseModelRecord

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Shape:
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int


SHAPES = {
    "tiny": Shape(64, 128, 2, 4, 2, 49152),
    "135M": Shape(576, 1536, 30, 9, 3, 49152),  # SmolLM2-135M
    "1.5B": Shape(1536, 8960, 28, 12, 2, 151936),  # Qwen2.5-1.5B
    "7B": Shape(3584, 18944, 28, 28, 4, 152064),  # Qwen2.5-7B
}


def make(name: str, tokenizer: Path, folder: Path, device: str) -> Path:
    """A folder as set-up makes one; in bf16 on the device, since 7B random weights take a CPU minutes, and in fp32 a card of 24 GB has no room."""
    shape = SHAPES[name]
    folder.mkdir(parents=True)
    for file in TOKENIZER:
        shutil.copy(tokenizer / file, folder / file)
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=name != "7B",
        dtype="bfloat16",
    )
    torch.manual_seed(1)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    record = BaseModelRecord(name=name, digest=model_digest(folder), source="random weights", licence="none")
    (folder / RECORD).write_text(record.model_dump_json())
    return folder


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
