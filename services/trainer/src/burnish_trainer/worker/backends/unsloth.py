"""Loads base and LoRA through Unsloth: less memory and faster steps on CUDA. Chosen only if there is CUDA.

Unsloth patches transformers and trl, so `prepare` must run before either is imported; its trainers of every method are
rewritten by that import alone (PatchDPOTrainer and PatchKTOTrainer do nothing any more). Of several processes it places each on its own GPU.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from burnish.errors import InternalError
from burnish_trainer.worker.backends import ModelRequest

PATCHED = ("transformers", "trl", "peft")


def prepare() -> None:
    """InternalError if what it patches is imported already: it would then be patched in part."""
    if "unsloth" in sys.modules:
        return
    early = [name for name in PATCHED if name in sys.modules]
    if early:
        raise InternalError(f"unsloth must be imported before {', '.join(early)}: this process cannot train with it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torchao's and torch.jit's own, while they are imported
        warnings.simplefilter("ignore", SyntaxWarning)
        import unsloth  # noqa: F401


def load(request: ModelRequest) -> Any:
    from unsloth import FastLanguageModel

    if request.initial_adapter is not None:
        _point_at_base(request.initial_adapter, request.folder)
        model, _tokenizer = FastLanguageModel.from_pretrained(**base_arguments(request, request.initial_adapter))
        return FastLanguageModel.for_training(model)
    model, _tokenizer = FastLanguageModel.from_pretrained(**base_arguments(request, request.folder))
    return FastLanguageModel.get_peft_model(model, **adapter_arguments(request))


def _point_at_base(adapter: Path, base: Path) -> None:
    """Unsloth finds the base of an adapter by its config, which elsewhere names it by its public name."""
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"base_model_name_or_path": str(base)}))


def base_arguments(request: ModelRequest, source: Path) -> dict[str, Any]:
    """Keyword arguments of FastLanguageModel.from_pretrained; its own default would quantise to 4 bits."""
    return {
        "model_name": str(source),
        "max_seq_length": request.max_length,
        "dtype": None,
        "load_in_4bit": request.quantization == "nf4",
        "local_files_only": True,
    }


def adapter_arguments(request: ModelRequest) -> dict[str, Any]:
    """Keyword arguments of FastLanguageModel.get_peft_model. What it has no name for it hands to peft.LoraConfig: use_dora."""
    return {
        "r": request.lora.rank,
        "lora_alpha": request.lora.alpha,
        "lora_dropout": request.lora.dropout,
        "target_modules": list(request.lora.target_modules),
        "use_rslora": request.lora.use_rslora,
        "bias": "none",
        "use_gradient_checkpointing": "unsloth",
        "random_state": request.seed,
        "max_seq_length": request.max_length,
        **({"use_dora": True} if request.lora.use_dora else {}),
    }
