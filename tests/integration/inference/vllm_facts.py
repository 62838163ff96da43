"""Run by the interpreter that has vLLM: prints, as JSON, what its argument parser makes of our commands, and what its CPU LoRA
arithmetic and ours make of a batch that mixes the base and two adapters.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from burnish_inference import vllm_cpu_lora
from burnish_inference.engine.command import vllm_command
from burnish_inference.settings import InferenceSettings

SLOT_OF_ID = [11, 22]  # both slots are taken, as in a busy server
IDS_T = [11, 0, 22, 22, 0, 0, 11, 22, 0]
HIDDEN, OUT, RANK = 32, (48, 16), 8


def parsed_commands(base_model: Path) -> dict[str, dict[str, object]]:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    alone = InferenceSettings(base_model=base_model)
    split = InferenceSettings(base_model=base_model, gpu_memory_share=0.4, tensor_parallel_size=2, quantization="fp8")
    found: dict[str, dict[str, object]] = {}
    for name, device, settings in (("cpu", "cpu", alone), ("cuda", "cuda", alone), ("two GPUs", "cuda", split)):
        command = vllm_command(
            settings, device, "name", ["q_proj", "v_proj"], Path("/run/x/http"), "http://c:4318/v1/traces"
        )
        parser = make_arg_parser(FlexibleArgumentParser())
        arguments = parser.parse_args(command[command.index("--model") :])
        validate_parsed_serve_args(arguments)
        found[name] = {
            key: value for key, value in vars(arguments).items() if isinstance(value, str | int | float | list | None)
        }
    return found


def engine_configs(base_model: Path) -> dict[str, dict[str, object]]:
    """What vLLM's engine would be made with by our command, and by the same without our flag for the generation config.

    The CUDA command too is built for the CPU, which is all that there is here: what depends on the device is not seen. Of the
    platform only its answers about sleep are changed, which are those of CUDA.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.platforms import current_platform
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    platform = type(current_platform)
    platform.is_sleep_mode_available = platform.is_cumem_allocator_available = lambda self: True
    settings = InferenceSettings(base_model=base_model)
    found: dict[str, dict[str, object]] = {}
    for name, device in (("cpu", "cpu"), ("cuda", "cuda"), ("without our flag", "cpu")):
        command = vllm_command(settings, device, "name", ["q_proj", "v_proj"], Path("/run/x/http"))
        flags = command[command.index("--model") :]
        if name == "without our flag":
            at = flags.index("--generation-config")
            flags[at : at + 2] = []
        arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(flags)
        config = AsyncEngineArgs.from_cli_args(arguments).create_engine_config()
        found[name] = {
            "sampling defaults": config.model_config.get_diff_sampling_param(),
            "sleep": config.model_config.enable_sleep_mode,
            "max_model_len": config.model_config.max_model_len,
            "max_lora_rank": config.lora_config and config.lora_config.max_lora_rank,
            "target_modules": config.lora_config and config.lora_config.target_modules,
        }
    return found


def sleep_routes() -> dict[str, list[str]]:
    """Path and methods of the endpoints by which vLLM sleeps and wakes."""
    from vllm.entrypoints.serve.dev.sleep.api_router import router

    return {route.path: sorted(route.methods) for route in router.routes}


def wrapper() -> object:
    """The wrapper that vLLM would use now, prepared for a step over IDS_T."""
    from vllm.lora.layers import LoRAMapping
    from vllm.lora.punica_wrapper.punica_selector import get_punica_wrapper

    made = get_punica_wrapper(max_num_batched_tokens=64, max_batches=16, device="cpu")
    mapping = LoRAMapping(tuple(IDS_T), tuple(IDS_T), is_prefill=True)
    made.update_metadata(mapping, SLOT_OF_ID, len(SLOT_OF_ID), 64)
    return made


def errors_of(punica) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Largest difference to a plain loop over rows, for rows of the base and of adapters apart."""
    torch.manual_seed(0)
    x = torch.randn(len(IDS_T), HIDDEN)
    before = torch.randn(len(IDS_T), sum(OUT))
    stacked_a = [torch.randn(len(SLOT_OF_ID), 1, RANK, HIDDEN) for _ in OUT]
    stacked_b = [torch.randn(len(SLOT_OF_ID), 1, out, RANK) for out in OUT]
    expected = before.clone()
    for row, adapter in enumerate(IDS_T):
        if adapter:
            slot = SLOT_OF_ID.index(adapter)
            deltas = [b[slot, 0] @ (a[slot, 0] @ x[row]) for a, b in zip(stacked_a, stacked_b, strict=True)]
            expected[row] += torch.cat(deltas)
    linear = before.clone()
    punica.add_lora_linear(linear, x, tuple(stacked_a), tuple(stacked_b), 1.0, OUT)
    in_two_steps = before.clone()
    buffers = tuple(torch.zeros(len(IDS_T), RANK) for _ in OUT)
    punica.add_shrink(buffers, x, tuple(stacked_a), 1.0)
    punica.add_expand(in_two_steps, buffers, tuple(stacked_b), OUT)
    logits = before[:, : OUT[0]].clone()
    punica.add_lora_logits(logits, x, stacked_a[0], stacked_b[0], 1.0)
    looked_up = x @ stacked_a[0][0, 0].t()
    embedding, embedding_expected = before[:, : OUT[0]].clone(), before[:, : OUT[0]].clone()
    punica.add_lora_embedding(embedding, looked_up, stacked_b[0])
    for row, adapter in enumerate(IDS_T):
        if adapter:
            embedding_expected[row] += stacked_b[0][SLOT_OF_ID.index(adapter), 0] @ looked_up[row]
    base_rows = torch.tensor([adapter == 0 for adapter in IDS_T])
    differences = {
        "linear": linear - expected,
        "shrink then expand": in_two_steps - expected,
        "logits": logits - expected[:, : OUT[0]],
        "embedding": embedding - embedding_expected,
    }
    return {
        f"{name}, {rows}": float(difference[chosen].abs().max())
        for name, difference in differences.items()
        for rows, chosen in (("base", base_rows), ("adapters", ~base_rows))
    }


def main() -> None:
    upstream = wrapper()
    base_model, penalised = Path(sys.argv[1]), Path(sys.argv[2])
    facts = {
        "commands": parsed_commands(base_model),
        "upstream": errors_of(upstream),
        "engines": engine_configs(penalised),
        "sleep": sleep_routes(),
    }
    vllm_cpu_lora.register()
    vllm_cpu_lora.register()
    ours = wrapper()
    facts |= {"ours": errors_of(ours), "wrapper": type(ours).__name__, "upstream_wrapper": type(upstream).__name__}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
