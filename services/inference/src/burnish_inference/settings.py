"""Where things are, from the environment. Built in main.py only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.errors import PreconditionError
from burnish.service import credentials
from burnish.serving import DEFAULT_MAX_LORA_RANK, LoraRank
from burnish_inference.limits import STANDARD, Limits

Device = Literal["auto", "cpu", "cuda"]
CALLER_KEYS = "BURNISH_INFERENCE_CALLER_KEYS"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
DType = Literal["auto", "bfloat16", "float16", "float32"]
SharingChoice = Literal["auto", "sleep", "share", "separate"]


def _number(value: Any) -> Any:
    """Text of digits as a number: the environment has only text, and a Literal of numbers takes none."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class InferenceSettings(BaseSettings):
    """The server itself, and what it starts vLLM with: BURNISH_INFERENCE_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_INFERENCE_", frozen=True, env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8703, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    base_model: Path = Field(description="folder of the base model, with its burnish-model.json")
    cache_dir: Path = Field(default=Path("inference"), description="folder of this process alone: adapters, vLLM's log")
    cache_gib: float = Field(
        default=20,
        gt=0,
        description="GiB of adapters kept in cache_dir; those of earlier starts that were used longest ago go first",
    )
    device: Device = Field(
        default="auto", description="auto: CUDA if the installed vLLM and the host have it, else the CPU"
    )
    dtype: DType = Field(
        default="auto",
        description="of weights and arithmetic; auto: bfloat16 if the processor multiplies it, else float32, and on CUDA "
        "what vLLM takes for the model; set float32 if answers must be exact across batching",
    )
    max_model_len: int = Field(default=2048, ge=16, description="tokens of prompt and answer together")
    max_lora_rank: Annotated[LoraRank, BeforeValidator(_number)] = Field(
        default=DEFAULT_MAX_LORA_RANK, description="largest adapter rank that is served"
    )
    max_loras: int = Field(default=4, ge=1, le=64, description="adapters in one batch")
    max_cpu_loras: int = Field(
        default=8, ge=1, le=1024, description="adapters in memory; others are read again from disk"
    )
    kv_cache_gib: int = Field(
        default=1, ge=1, description="GiB of key-value cache on the CPU; on CUDA vLLM takes what is free"
    )
    sharing: SharingChoice = Field(
        default="auto",
        description="what training gets of vLLM's device. sleep: vLLM leaves it while a job needs it, and comes back; share: "
        "vLLM has a fixed share beside the job; separate: training uses others. auto: sleep on CUDA, share on a CPU",
    )
    lease_drain_seconds: float = Field(
        default=60,
        ge=0,
        description="seconds that running requests have to end when a job needs the device; then they are broken off",
    )
    lease_wait_seconds: float = Field(
        default=10,
        ge=0,
        description="seconds that a request waits while a job has the device, before it gets 503 with Retry-After",
    )
    gpu_memory_share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of the GPU's memory that vLLM takes; unset: 0.45 if sharing is `share`, else vLLM's own, 0.92",
    )
    tensor_parallel_size: int = Field(
        default=1, ge=1, le=64, description="GPUs that the base model is split over; it must see as many"
    )
    quantization: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_]+$",
        description="how vLLM makes the weights smaller while it loads them (fp8, …); None: as the base model's config says",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of vLLM's worker; None: every core this process may use"
    )
    start_limit_seconds: float = Field(default=600, gt=0, description="seconds vLLM has to become healthy")
    hang_limit_seconds: float = Field(
        default=60, gt=0, description="seconds without an answer after which vLLM is restarted"
    )
    drain_seconds: int = Field(
        default=8, ge=0, description="seconds that running requests have to end when the server stops"
    )
    max_request_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="largest request body")
    max_choices: int = Field(
        default=STANDARD.max_choices, ge=1, description="most answers of one request: `n` times its prompts"
    )
    default_max_tokens: int = Field(
        default=STANDARD.default_max_tokens,
        ge=1,
        description="longest answer, in tokens, to a chat that states neither max_tokens nor max_completion_tokens",
    )
    max_constraint_bytes: int = Field(
        default=STANDARD.max_constraint_bytes,
        ge=1024,
        description="most bytes of a response_format, of structured_outputs or of tools",
    )
    caller_keys: SecretStr = Field(
        default=SecretStr(""),
        description="further keys, each of a named caller with a share of its own: name=key, separated by commas; "
        "they open completions and models alone",
    )
    tokens_in_flight: int | None = Field(
        default=None,
        ge=1024,
        description="tokens of prompts and answers in flight of all callers together; None: as many as vLLM's cache holds",
    )
    allow_grammars: bool = Field(
        default=STANDARD.allow_grammars, description="take grammars and structural tags, which may keep the engine busy"
    )

    def limits(self) -> Limits:
        """The default length is never more than the model takes: vLLM would refuse every chat."""
        length = min(self.default_max_tokens, self.max_model_len)
        return Limits(
            self.max_choices, length, self.max_constraint_bytes, self.allow_grammars, max_model_len=self.max_model_len
        )

    def keys_of_callers(self) -> dict[str, str]:
        """Name -> key. PreconditionError for one that is no pair, guessable, or there twice."""
        pairs = [pair for pair in self.caller_keys.get_secret_value().split(",") if pair.strip()]
        keys: dict[str, str] = {}
        for number, pair in enumerate(pairs, start=1):
            name, equals, key = (part.strip() for part in pair.partition("="))
            if not equals or not NAME.fullmatch(name) or name in keys or key in keys.values():
                raise PreconditionError(
                    f"{CALLER_KEYS}: entry {number} is not `name=key`, or its name or key is there twice"
                )
            credentials.check(f"{CALLER_KEYS}: the key of {name}", key)
            keys[name] = key
        return keys

    @model_validator(mode="after")
    def enough_adapters_in_memory(self) -> InferenceSettings:
        if self.max_cpu_loras < self.max_loras:
            raise ValueError(f"max_cpu_loras ({self.max_cpu_loras}) must be at least max_loras ({self.max_loras})")
        return self
