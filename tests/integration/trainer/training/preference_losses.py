"""Log-probabilities of answers under a base model in fp32, to compute the preference methods' losses by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from unit.trainer.made import encode

from burnish.schemas.base import Message
from burnish_trainer.data.tokens import Example


class Base:
    """The base model and its tokenizer, as anyone would load them."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def encode(self, prompt: Sequence[Message], completion: Sequence[Message]) -> Example:
        return encode(self.tokenizer, prompt, completion)

    def log_probabilities(self, prompt: Sequence[Message], completion: Sequence[Message]) -> torch.Tensor:
        """Of each of the completion's tokens, EOS included, one sequence at a time."""
        example = self.encode(prompt, completion)
        ids = torch.tensor([example.ids])
        with torch.no_grad():
            logits = self.model(ids).logits[0, example.prompt_tokens - 1 : -1]
        return logits.log_softmax(-1).gather(1, ids[0, example.prompt_tokens :, None])[:, 0]
