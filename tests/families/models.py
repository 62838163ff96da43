"""Makes a family's folder: random weights, a tokenizer trained here, and what the published folders say about their special tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from burnish.model_record import record
from burnish.schemas.models import BaseModelRecord
from families import templates

WORDS = 700  # tokens of the vocabulary besides the special ones
SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,
}
CORPUS = [
    "Which colour has the very thing that is red, green, blue, black, white, brown, pink, grey, orange or purple?",
    '{"colour": "red"} {"file": "lib/json.py", "symbol": "dumps"}',
    "I think it may well be green, but who knows. You are a helpful assistant. Answer with JSON only.",
    "The quick brown fox jumps over the lazy dog; 0 1 2 3 4 5 6 7 8 9 (a + b) * c = d.",
    "system user assistant model\n\nCutting Knowledge Date: December 2023\n",
]


@dataclass(frozen=True)
class Family:
    """pad, ends: as the published folders have them: None if the tokenizer names no pad token; ends: of generation_config.json."""

    name: str
    architecture: str
    config: str
    template: str
    bos: str | None
    eos: str
    pad: str | None
    ends: tuple[str, ...]
    control: tuple[str, ...]
    pieces: Literal["bytes", "sentencepiece"] = "bytes"
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def special(self) -> list[str]:
        named = [self.bos, self.eos, self.pad, *self.ends, *self.control]
        return list(dict.fromkeys(token for token in named if token))


FAMILIES = (
    Family(
        "llama-3", "LlamaForCausalLM", "LlamaConfig", templates.LLAMA_3,
        bos="<|begin_of_text|>", eos="<|eot_id|>", pad=None, ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        control=("<|start_header_id|>", "<|end_header_id|>"),
        changes={"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                                     "high_freq_factor": 4.0, "original_max_position_embeddings": 256}},
    ),
    Family(
        "qwen-2.5", "Qwen2ForCausalLM", "Qwen2Config", templates.QWEN_25,
        bos=None, eos="<|im_end|>", pad="<|endoftext|>", ends=("<|im_end|>", "<|endoftext|>"), control=("<|im_start|>",),
        changes={"tie_word_embeddings": True},
    ),
    Family(
        "qwen-3", "Qwen3ForCausalLM", "Qwen3Config", templates.QWEN_3,
        bos=None, eos="<|im_end|>", pad="<|endoftext|>", ends=("<|im_end|>", "<|endoftext|>"),
        control=("<|im_start|>",), changes={"tie_word_embeddings": True, "head_dim": 64},
    ),
    Family(
        "mistral", "MistralForCausalLM", "MistralConfig", templates.MISTRAL,
        bos="<s>", eos="</s>", pad=None, ends=("</s>",), control=("[INST]", "[/INST]"),
        pieces="sentencepiece", changes={"sliding_window": None},
    ),
    Family(
        "gemma-3", "Gemma3ForCausalLM", "Gemma3TextConfig", templates.GEMMA_3,
        bos="<bos>", eos="<eos>", pad="<pad>", ends=("<eos>", "<end_of_turn>"), control=("<start_of_turn>",),
        pieces="sentencepiece",
        changes={"tie_word_embeddings": True, "head_dim": 64, "num_hidden_layers": 3, "query_pre_attn_scalar": 64,
                 "sliding_window": 64, "layer_types": ["sliding_attention", "sliding_attention", "full_attention"]},
    ),
    Family(
        "phi-4", "Phi3ForCausalLM", "Phi3Config", templates.PHI_4,
        bos="<|endoftext|>", eos="<|im_end|>", pad="<|dummy_85|>", ends=("<|im_end|>",), control=("<|im_start|>", "<|im_sep|>"),
    ),
)  # fmt: skip
BY_NAME = {family.name: family for family in FAMILIES}


def make(family: Family, folder: Path, seed: int = 1) -> BaseModelRecord:
    """A recorded base model in `folder`, which must not exist."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    tokenizer = _tokenizer(family)
    ids = {name: tokenizer.token_to_id(token) for name, token in _named(family).items()}
    ends = [tokenizer.token_to_id(token) for token in family.ends]
    numbers = {f"{name}_id": ids.get(name) for name in ("bos_token", "eos_token", "pad_token")}
    config = getattr(transformers, family.config)(
        **SHAPE | family.changes, **numbers, vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64
    )
    torch.manual_seed(seed)
    model = getattr(transformers, family.architecture)(config)
    model.generation_config = transformers.GenerationConfig(**numbers | {"eos_token_id": ends})
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024, **_named(family)}
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=2))
    (folder / "chat_template.jinja").write_text(family.template)
    return record(folder, family.name, source="random weights", licence="none")


def _named(family: Family) -> dict[str, str]:
    named = {"bos_token": family.bos, "eos_token": family.eos, "pad_token": family.pad}
    return {name: token for name, token in named.items() if token}


def _tokenizer(family: Family) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if family.pieces == "bytes":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        alphabet, first = pre_tokenizers.ByteLevel.alphabet(), []
    else:
        made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        made.normalizer = normalizers.Replace(" ", "▁")
        made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        alphabet, first = [], ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, initial_alphabet=alphabet, special_tokens=first, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    made = Tokenizer.from_str(_plain(made.to_str(), first))
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in family.special])
    return made


def _plain(tokenizer: str, pieces: list[str]) -> str:
    """The trainer takes the byte pieces as special tokens; in published folders they are ordinary ones."""
    described = json.loads(tokenizer)
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] not in pieces]
    return json.dumps(described)
