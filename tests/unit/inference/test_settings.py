"""Settings, the command made of them, and log lines."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from burnish.service.settings import S3Settings, TokenSettings
from burnish.telemetry import logs
from burnish_inference.engine.command import pick_dtype, pick_sharing, vllm_command, vllm_environment
from burnish_inference.limits import Limits
from burnish_inference.settings import InferenceSettings

SOCKET = Path("/run/x/http")
ARCHITECTURE = Path(__file__).resolve().parents[3] / "ARCHITECTURE.md"


@pytest.mark.parametrize("settings", [InferenceSettings, S3Settings, TokenSettings])
def test_every_setting_is_described_and_is_in_the_architecture(settings):
    text = ARCHITECTURE.read_text()
    for name, field in settings.model_fields.items():
        assert field.description
        variable = f"{settings.model_config['env_prefix']}{name}".upper()
        assert variable in text or f"`_{name.upper()}`" in text, f"{variable} is missing in ARCHITECTURE.md"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_lora_rank": 20},
        {"max_loras": 9},
        {"device": "tpu"},
        {"dtype": "int8"},
        {"port": 70000},
        {"kv_cache_gib": 0},
    ],
)
def test_values_that_vllm_would_refuse_are_refused_first(wrong):
    with pytest.raises(ValidationError):
        InferenceSettings(base_model=Path("base"), **wrong)


def test_a_rank_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("BURNISH_INFERENCE_MAX_LORA_RANK", "64")
    assert InferenceSettings(base_model=Path("base")).max_lora_rank == 64


def test_vllms_share_of_the_gpu_is_passed_on_if_it_is_set():
    shared = InferenceSettings(base_model=Path("base"), gpu_memory_share=0.4)
    assert "--gpu-memory-utilization 0.4" in " ".join(vllm_command(shared, "cuda", "name", ["q_proj"], SOCKET))
    fixed = InferenceSettings(base_model=Path("base"), sharing="share")
    assert "--gpu-memory-utilization 0.45" in " ".join(vllm_command(fixed, "cuda", "name", ["q_proj"], SOCKET))
    alone = InferenceSettings(base_model=Path("base"))
    assert "--gpu-memory-utilization" not in vllm_command(alone, "cuda", "name", ["q_proj"], SOCKET)


def test_the_command_differs_by_device_and_opens_no_port():
    settings = InferenceSettings(base_model=Path("/models/base"), max_model_len=512, dtype="float32", max_lora_rank=64)
    cpu = vllm_command(settings, "cpu", "name", ["v_proj", "q_proj"], SOCKET)
    cuda = vllm_command(settings, "cuda", "name", ["v_proj", "q_proj"], SOCKET)
    assert [word for word in cpu if word not in cuda] == ["--enforce-eager"]
    assert [word for word in cuda if word not in cpu] == ["--enable-sleep-mode"]
    text = " ".join(cuda)
    for part in (
        "--model /models/base",
        "--uds /run/x/http",
        "--max-model-len 512",
        "--dtype float32",
        "--max-lora-rank 64",
    ):
        assert part in text
    assert "--lora-target-modules q_proj v_proj" in text
    assert not {"--host", "--port"} & {*cpu, *cuda}


@pytest.mark.parametrize(
    ("sharing", "device", "expected"),
    [
        ("auto", "cuda", ("sleep", True, True)),
        ("auto", "cpu", ("share", False, False)),
        ("sleep", "cpu", ("sleep", False, True)),  # vLLM refuses the flag there; its endpoints answer
        ("share", "cuda", ("share", False, False)),
        ("separate", "cuda", ("separate", False, False)),
    ],
)
def test_vllm_can_sleep_only_if_its_device_is_lent(sharing, device, expected):
    settings = InferenceSettings(base_model=Path("base"), sharing=sharing)
    command = vllm_command(settings, device, "name", ["q_proj"], SOCKET)
    environment = vllm_environment(settings, device, {})
    found = pick_sharing(settings, device), "--enable-sleep-mode" in command, "VLLM_SERVER_DEV_MODE" in environment
    assert found == expected


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("BURNISH_INFERENCE_GPU_MEMORY_SHARE", "")
    monkeypatch.setenv("BURNISH_INFERENCE_SHARING", "")
    settings = InferenceSettings(base_model=Path("base"))
    assert (settings.gpu_memory_share, settings.sharing) == (None, "auto")


@pytest.mark.parametrize(
    ("flags", "expected"), [("fma avx2", "float32"), ("avx512f avx512_bf16", "bfloat16"), ("asimd bf16", "bfloat16")]
)
def test_a_cpu_serves_in_bf16_where_it_multiplies_it(tmp_path, flags, expected):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags : fpu {flags} sse2\n")
    automatic = InferenceSettings(base_model=Path("base"))
    assert pick_dtype(automatic, "cpu", info) == expected
    assert pick_dtype(automatic, "cuda", info) == "auto"
    assert pick_dtype(InferenceSettings(base_model=Path("base"), dtype="float16"), "cpu", info) == "float16"


def test_the_environment_keeps_our_secrets_and_the_operators_tuning():
    settings = InferenceSettings(base_model=Path("base"), threads=3, kv_cache_gib=2)
    inherited = {
        "BURNISH_S3_SECRET_KEY": "s",
        "BURNISH_TOKEN": "t",
        "PATH": "/bin",
        "OMP_WAIT_POLICY": "ACTIVE",
        "HF_HUB_OFFLINE": "0",
    }
    cpu = vllm_environment(settings, "cpu", inherited)
    assert not any(name.startswith("BURNISH_") for name in cpu)
    assert (cpu["PATH"], cpu["OMP_WAIT_POLICY"], cpu["HF_HUB_OFFLINE"]) == ("/bin", "ACTIVE", "1")
    assert (cpu["OMP_NUM_THREADS"], cpu["VLLM_CPU_KVCACHE_SPACE"]) == ("3", "2")
    assert (cpu["TORCH_COMPILE_DISABLE"], cpu["GLOO_SOCKET_IFNAME"]) == ("1", "lo")
    assert cpu["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    cuda = vllm_environment(settings, "cuda", inherited)
    assert not any(name.startswith(("OMP_NUM", "VLLM_CPU", "TORCH_COMPILE")) for name in cuda)


def test_the_default_length_of_an_answer_is_never_more_than_the_model_takes():
    assert InferenceSettings(base_model=Path("base")).limits() == Limits(32, 1024)
    assert InferenceSettings(base_model=Path("base"), max_model_len=256).limits().default_max_tokens == 256


def test_log_lines_are_json_with_the_fields_of_a_request():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.Logger("burnish_inference.requests")
    logger.addHandler(handler)
    logger.info("request", extra={"request_id": "r1", "status": 200, "model": "tiny"})
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("unexpected error")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["request_id"], first["status"], first["model"], first["level"]) == ("r1", 200, "tiny", "info")
    assert "ValueError: boom" in second["traceback"]
