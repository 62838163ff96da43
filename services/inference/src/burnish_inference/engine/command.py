"""What vLLM is started with. Nothing else spells its flags and environment (vllm 0.32)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

from burnish.machine import devices, gpus
from burnish.schemas.device import Sharing
from burnish.telemetry import tracing
from burnish_inference.settings import InferenceSettings

log = logging.getLogger(__name__)

LOOPBACK_INTERFACE = "lo"
CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 and Arm
SHARED_MEMORY_SHARE = 0.45  # of the GPU, beside a job that always has the rest
QUIET = ("--disable-uvicorn-access-log",)  # not --disable-log-stats, which empties vLLM's metrics too


def pick_device(settings: InferenceSettings) -> Literal["cpu", "cuda"]:
    """The device asked for; auto: CUDA if the host has an NVIDIA device and the installed vLLM is not a CPU build."""
    if settings.device != "auto":
        return settings.device
    has_device = Path("/dev/nvidiactl").exists()
    return "cuda" if has_device and not metadata.version("vllm").endswith("+cpu") else "cpu"


def pick_dtype(settings: InferenceSettings, device: Literal["cpu", "cuda"], cpu_info: Path = CPU_INFO) -> str:
    """The precision asked for; auto: on CUDA vLLM's own choice, on a CPU bf16 if the processor multiplies it, else fp32.

    A CPU without such instructions emulates them: a token's products of one row were 85 times slower in bf16 than in fp32 on an
    AVX2 processor (torch 2.13).
    """
    if settings.dtype != "auto" or device == "cuda":
        return settings.dtype
    flags = set(cpu_info.read_text().split()) if cpu_info.is_file() else set()
    return "bfloat16" if flags & BF16_FLAGS else "float32"


def pick_sharing(settings: InferenceSettings, device: Literal["cpu", "cuda"]) -> Sharing:
    """The sharing asked for; auto: sleep on CUDA. It costs nothing if jobs use other devices: their lease is not needed then."""
    if settings.sharing != "auto":
        return settings.sharing
    return "sleep" if device == "cuda" else "share"


def own_devices(
    settings: InferenceSettings, device: Literal["cpu", "cuda"], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """The names (burnish.machine.devices) of what a vLLM of this environment runs on: the first GPUs that it sees, or the processor."""
    if device == "cpu":
        return (devices.cpu(),)
    try:
        found = gpus.visible(environment)
    except gpus.DriverError as error:
        log.warning("%s", error)
        found = []
    if not found:
        log.warning("the driver names no GPU: training cannot be told which one vLLM uses")
    return tuple(gpu.uuid for gpu in found[: settings.tensor_parallel_size])


def vllm_command(
    settings: InferenceSettings,
    device: Literal["cpu", "cuda"],
    served_name: str,
    target_modules: Iterable[str],
    socket: Path,
    traces_endpoint: str | None = None,
) -> list[str]:
    """argv of the API server on a unix socket. target_modules: the layers that adapters may change; the others cost nothing then.

    traces_endpoint: the URL to which it posts spans of its own for requests that carry a traceparent; None: it makes none.
    """
    command = [
        *(sys.executable, "-m", "burnish_inference.engine.vllm_server", "--model", str(settings.base_model)),
        *("--served-model-name", served_name, "--uds", str(socket)),
        *("--dtype", pick_dtype(settings, device), "--max-model-len", str(settings.max_model_len)),
        # A model's own generation_config.json may have a repetition penalty, which would change greedy answers unasked.
        *("--generation-config", "vllm"),
        *("--enable-lora", "--max-lora-rank", str(settings.max_lora_rank)),
        *("--max-loras", str(settings.max_loras), "--max-cpu-loras", str(settings.max_cpu_loras)),
        *("--lora-target-modules", *sorted(target_modules)),
        *QUIET,
        *(("--otlp-traces-endpoint", traces_endpoint) if traces_endpoint else ()),
    ]
    if device == "cpu":
        return [*command, "--enforce-eager"]
    if settings.tensor_parallel_size > 1:
        command += ["--tensor-parallel-size", str(settings.tensor_parallel_size)]
    if settings.quantization:
        command += ["--quantization", settings.quantization]
    sharing, share = pick_sharing(settings, device), settings.gpu_memory_share
    if sharing == "sleep":
        command.append("--enable-sleep-mode")
    if share is None and sharing == "share":
        share = SHARED_MEMORY_SHARE
    return command if share is None else [*command, "--gpu-memory-utilization", str(share)]


def vllm_environment(
    settings: InferenceSettings, device: Literal["cpu", "cuda"], inherited: Mapping[str, str]
) -> dict[str, str]:
    """The inherited environment without our own secrets, and what vLLM needs; a value that the operator set wins if it is only tuning."""
    kept = {name: value for name, value in inherited.items() if not name.startswith("BURNISH_")}
    tuning = {"GLOO_SOCKET_IFNAME": LOOPBACK_INTERFACE, "VLLM_HOST_IP": "127.0.0.1"}  # its other sockets: ADR 15
    fixed = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    if pick_sharing(settings, device) == "sleep":
        fixed["VLLM_SERVER_DEV_MODE"] = "1"  # /sleep and /wake_up, for device/control.py: nothing passes them on
    if tracing.endpoint(inherited):  # vLLM would speak gRPC, and name itself as this process is named
        fixed |= {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "vllm"}
    if device == "cuda":
        tuning["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # numbers mean what the driver says: burnish.machine.gpus
        return {**tuning, **kept, **fixed}
    # One process less than vLLM's default, and its threads on every core: docs/adr/0003-vllm-child.md.
    tuning |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(settings.threads or len(os.sched_getaffinity(0))),
        "OMP_WAIT_POLICY": "PASSIVE",
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        # vLLM compiles its count of log-probabilities whatever --enforce-eager says: the first request with `logprobs` took 50 s,
        # and ended the engine of a host without a C++ compiler (vllm 0.32, v1/sample/ops/logprobs.py).
        "TORCH_COMPILE_DISABLE": "1",
    }
    return {**tuning, **kept, **fixed}
