"""What we rely on in the installed vLLM: it takes our flags, and its CPU LoRA arithmetic still needs ours."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from burnish_inference.engine.command import pick_dtype, vllm_environment
from burnish_inference.settings import InferenceSettings

pytestmark = pytest.mark.vllm
SCRIPT = Path(__file__).with_name("vllm_facts.py")


@pytest.fixture(scope="module")
def facts(inference_python: Path, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Of the base model, and of one whose own generation config has a repetition penalty."""
    penalised = tmp_path_factory.mktemp("penalised")
    for file in base_model_dir.iterdir():
        (penalised / file.name).symlink_to(file)
    (penalised / "generation_config.json").unlink(missing_ok=True)
    (penalised / "generation_config.json").write_text('{"repetition_penalty": 1.3}')
    environment = os.environ | {"VLLM_PLUGINS": "none", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
    environment["VLLM_CPU_KVCACHE_SPACE"] = "1"
    command = [str(inference_python), str(SCRIPT), str(base_model_dir), str(penalised)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_gpus_and_a_quantisation_are_passed_on(facts):
    parsed = facts["commands"]["two GPUs"]
    expected = {"tensor_parallel_size": 2, "quantization": "fp8", "gpu_memory_utilization": 0.4}
    assert {key: parsed[key] for key in expected} == expected
    assert parsed["otlp_traces_endpoint"] == "http://c:4318/v1/traces"


def test_the_engine_config_builds_and_a_models_own_penalty_changes_no_answer(facts):
    engines = facts["engines"]
    assert engines["without our flag"]["sampling defaults"] == {"repetition_penalty": 1.3}
    for device in ("cpu", "cuda"):
        assert engines[device] == {
            "sampling defaults": {},
            "sleep": device == "cuda",
            "max_model_len": 2048,
            "max_lora_rank": 32,
            "target_modules": ["q_proj", "v_proj"],
        }


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_installed_vllm_takes_our_command(facts, base_model_dir, device):
    parsed = facts["commands"][device]
    expected = {
        "model": str(base_model_dir),
        "served_model_name": ["name"],
        "uds": "/run/x/http",
        "dtype": pick_dtype(InferenceSettings(base_model=base_model_dir), device),
        "max_model_len": 2048,
        "enable_lora": True,
        "max_lora_rank": 32,
        "max_loras": 4,
        "max_cpu_loras": 8,
        "lora_target_modules": ["q_proj", "v_proj"],
        "enforce_eager": device == "cpu",
        "disable_log_stats": False,  # it would empty the metrics too
        "disable_uvicorn_access_log": True,
        "enable_sleep_mode": device == "cuda",
    }
    assert {key: parsed[key] for key in expected} == expected


def test_the_endpoints_by_which_it_sleeps_and_wakes_are_there(facts):
    assert facts["sleep"].items() >= {"/sleep": ["POST"], "/wake_up": ["POST"]}.items()


def test_log_probabilities_need_no_compiler(inference_python: Path, base_model_dir: Path, tmp_path: Path) -> None:
    """vLLM's own count of them, in the environment that it runs in, with nothing on the PATH and no code kept from before."""
    code = (
        "import torch; from vllm.v1.sample.ops.logprobs import batched_count_greater_than as count; "
        "print(count(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2.0]])).tolist())"
    )
    bare = os.environ | {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    environment = vllm_environment(InferenceSettings(base_model=base_model_dir), "cpu", bare)
    done = subprocess.run(
        [str(inference_python), "-c", code], env=environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[2]"


def test_our_cpu_arithmetic_is_right_in_a_mixed_batch(facts):
    assert facts["wrapper"] == "GroupedPunicaWrapper"
    assert {name: error for name, error in facts["ours"].items() if error > 1e-4} == {}
    base_rows = [error for name, error in facts["ours"].items() if name.endswith("base")]
    assert base_rows == [0.0] * 4


def test_upstream_still_gives_base_rows_the_last_adapter(facts):
    """Fails when vLLM has mended it: then the vllm_cpu_lora package and its entry point can go (mind the speed: ADR 3)."""
    assert facts["upstream_wrapper"] == "PunicaWrapperCPU"
    assert facts["upstream"]["linear, adapters"] < 1e-4
    assert facts["upstream"]["linear, base"] > 0.1
