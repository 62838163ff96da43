"""vLLM plugin (entry point group `vllm.general_plugins`): right LoRA arithmetic for mixed batches on CPU.

vLLM calls `register` once in each of its processes. Upstream's CPU ops index the stacked weights with -1 for rows of the
base model, so those rows get the last adapter (vllm 0.32.0, `lora/ops/torch_ops/lora_ops.py`; the Triton kernels on CUDA
return early on -1). It can go when tests/integration/inference/test_vllm_facts.py says that upstream has it right.
Must not import torch or vllm at module level: the server and the tests import this package without either.
"""

from __future__ import annotations

WRAPPER = "burnish_inference.vllm_cpu_lora.punica.GroupedPunicaWrapper"


def register() -> None:
    """Make vLLM's CPU platform use our wrapper; leaves every other platform alone. Idempotent."""
    from vllm.platforms import current_platform

    if current_platform.is_cpu():
        type(current_platform).get_punica_wrapper = classmethod(lambda cls: WRAPPER)
