"""vLLM on CUDA behind the server. On a GPU it would show that our command starts it there (no CPU flags, CUDA graphs on), that the
base answers, and that a batch mixing base and adapter rows is right with upstream's Triton kernels, without our CPU arithmetic.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from adapter_making import CONFIG, WEIGHTS, make_manifest, publish
from inference_server import started

from burnish.schemas.models import read_record

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.vllm,
    pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="needs an NVIDIA GPU (no /dev/nvidiactl)"),
]

PROMPTS = ["The capital of France is", "def fibonacci(n):\n    ", "A short list of fruits:\n1. Apple\n2."]
RANK = 8


def make_adapter(base_model_dir: Path, folder: Path) -> dict[str, bytes]:
    """A LoRA with B far from zero, so that its answers differ."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    tuned = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets))
    for path, weight in tuned.named_parameters():
        if "lora_B" in path:
            torch.nn.init.normal_(weight, std=0.02)
    tuned.save_pretrained(folder)
    return {path: (folder / path).read_bytes() for path in (CONFIG, WEIGHTS)}


def test_a_mixed_batch_on_cuda_answers_as_each_model_does_alone(seaweed, base_model_dir, tmp_path):
    record = read_record(base_model_dir)
    store = seaweed.store("inference-gpu-test")
    store.ensure_bucket()
    files = make_adapter(base_model_dir, tmp_path / "adapter")
    publish(store, make_manifest("fix", files, record, RANK), files)
    settings = {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": "inference-gpu-test",
        "BURNISH_INFERENCE_BASE_MODEL": str(base_model_dir),
        "BURNISH_INFERENCE_DEVICE": "cuda",
        "BURNISH_INFERENCE_DTYPE": "float32",
        "BURNISH_INFERENCE_MAX_LORAS": "1",
        "BURNISH_INFERENCE_MAX_CPU_LORAS": "1",
    }
    with started(tmp_path, settings) as server:
        server.wait_ready()

        def ask(model: str, prompt: str) -> str:
            body = {"model": model, "prompt": prompt, "max_tokens": 16, "temperature": 0}
            return server.http.post("/v1/completions", json=body).json()["choices"][0]["text"]

        pairs = [(model, prompt) for prompt in PROMPTS for model in (record.name, "fix@latest")]
        alone = [ask(*pair) for pair in pairs]
        with ThreadPoolExecutor(len(pairs)) as pool:
            together = list(pool.map(lambda pair: ask(*pair), pairs))
    assert alone[0] != alone[1]
    assert together == alone
