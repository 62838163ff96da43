"""Loads a base model's tokenizer as training uses it: with the token that ends an answer, and one to pad with.

Checker and worker both load it here, so that they count and mask alike. Imports transformers, and torch never by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

PROBE = ({"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"})
GENERATION = "generation_config.json"


def load_tokenizer(folder: Path) -> Any:
    """A transformers tokenizer. eos_token: what the chat template writes behind an answer, and generation stops at.

    Gemma's tokenizers name `<eos>`, which its chats never contain: `<end_of_turn>` ends a turn, by generation_config.json alone.
    A tokenizer without a padding token pads with EOS, as labels are masked by position and never by token.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if tokenizer.chat_template:
        tokenizer.eos_token = end_token(tokenizer, stop_ids(folder))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def stop_ids(folder: Path) -> list[int]:
    """Tokens at which serving ends an answer besides the tokenizer's EOS."""
    path = folder / GENERATION
    named = json.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
    return [] if named is None else [named] if isinstance(named, int) else list(named)


def end_token(tokenizer: Any, stops: Sequence[int]) -> str:
    """EOS, unless the template ends an answer without it and with one of `stops`: then that."""
    named: str = tokenizer.eos_token
    try:
        behind = tokenizer.apply_chat_template(list(PROBE), tokenize=False).rpartition(PROBE[1]["content"])[2]
    except TemplateError:
        return named
    others = [tokenizer.convert_ids_to_tokens(stop) for stop in stops]
    return next((token for token in (named, *others) if token and token in behind), named)
