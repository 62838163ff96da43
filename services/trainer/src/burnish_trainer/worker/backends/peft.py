"""Loads the base with transformers and puts LoRA on it with PEFT. The default on CPU; runs on CUDA too."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

from burnish_trainer.worker.backends import ModelRequest


def prepare() -> None:
    """Nothing must come first."""


def load(request: ModelRequest) -> PeftModel:
    model = _base(request)
    set_seed(request.seed)
    if request.initial_adapter is not None:
        continued = PeftModel.from_pretrained(model, str(request.initial_adapter), is_trainable=True)
        continued.peft_config["default"].base_model_name_or_path = str(request.folder)  # saving looks for it there
        return continued
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=request.lora.rank,
        lora_alpha=request.lora.alpha,
        lora_dropout=request.lora.dropout,
        target_modules=list(request.lora.target_modules),
        use_rslora=request.lora.use_rslora,
        use_dora=request.lora.use_dora,
        bias="none",
    )
    return get_peft_model(model, config)


def _base(request: ModelRequest) -> Any:
    dtype = getattr(torch, request.dtype)
    arguments: dict[str, Any] = {"dtype": dtype, "local_files_only": True}
    if request.quantization == "nf4":
        arguments["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    if request.device == "cuda":
        arguments["device_map"] = {"": PartialState().local_process_index}  # one process a GPU, each with all weights
    model = AutoModelForCausalLM.from_pretrained(str(request.folder), **arguments)
    if request.quantization == "nf4":
        _keep_4bit_weights_unpacked(model)
    return model


def _keep_4bit_weights_unpacked(model: torch.nn.Module) -> None:
    """Turn off bitsandbytes' repacking on CPUs with AVX512-BF16.

    0.50.2 repacks a layer's weights at its first forward without gradients and never unpacks them, so every later
    gradient is wrong (cosine 0.05 to the true one). Can go once tests/integration/trainer/training/test_quantized.py passes without it.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
