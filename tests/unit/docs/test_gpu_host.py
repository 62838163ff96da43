"""docs/gpu-host.md: its estimates are what preflight's formulas say of the makers' figures, and vLLM's room is what its share leaves."""

from __future__ import annotations

from pathlib import Path

from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish_trainer.hardware.backends import DType
from burnish_trainer.hardware.machine import Machine
from burnish_trainer.preflight.estimate import CUDA_CONTEXT_BYTES, estimate
from burnish_trainer.preflight.types import ModelShape, Workload

PAGE = (Path(__file__).parents[3] / "docs/gpu-host.md").read_text()
ROWS, ROW_TOKENS, TRAINED_TOKENS, BATCH = 500, 400, 100, 8
STEPS = -(-3 * ROWS // BATCH)
SHAPES = {
    "7B": ModelShape(
        parameters=7_615_616_512,
        hidden_size=3584,
        intermediate_size=18944,
        layers=28,
        attention_heads=28,
        key_value_heads=4,
        head_size=128,
        vocabulary=152064,
        weight_bytes=15_231_233_024,
    ),
    "1.5B": ModelShape(
        parameters=1_543_714_304,
        hidden_size=1536,
        intermediate_size=8960,
        layers=28,
        attention_heads=12,
        key_value_heads=2,
        head_size=128,
        vocabulary=151936,
        weight_bytes=3_087_428_608,
    ),
}
# dense TFLOP/s in 16 bits and GB/s, as NVIDIA's data sheets have them
CARDS: dict[str, tuple[int, DType, int, int]] = {
    "T4": (16, "float16", 65, 320),
    "A10": (24, "bfloat16", 125, 600),
    "A100": (80, "bfloat16", 312, 2039),
    "H100": (80, "bfloat16", 989, 3350),
}
LINES = (("T4", "1.5B"), ("A10", "7B"), ("A100", "7B"), ("H100", "7B"))


def cell(card: str, shape: str, method: str, quantization: str) -> str:
    gigabytes, dtype, teraflops, bandwidth = CARDS[card]
    machine = Machine(
        device="cuda",
        name=card,
        dtype=dtype,
        memory_bytes=gigabytes * 10**9,
        available_memory_bytes=gigabytes * 10**9,
        free_disk_bytes=10**12,
        flops=teraflops * 1e12,
        bytes_per_second=bandwidth * 1e9,
        speed_measured=False,
    )
    answers = 2 if method == "dpo" else 1
    rows = Workload(
        steps=STEPS,
        rows=ROWS,
        padded_tokens=STEPS * BATCH * ROW_TOKENS * answers,
        trained_tokens=STEPS * BATCH * TRAINED_TOKENS * answers,
        heaviest_step_tokens=BATCH * ROW_TOKENS * answers,
        longest_row_tokens=ROW_TOKENS,
        evaluations=5,
        evaluation_tokens=ROWS // 10 * ROW_TOKENS * answers,
        evaluation_heaviest_tokens=BATCH * ROW_TOKENS * answers,
        reference_tokens=ROWS * ROW_TOKENS * answers if method == "dpo" else 0,
    )
    optimizer = {"batch_size": BATCH, "gradient_accumulation_steps": 1}
    dataset = VersionRef(name="x", version="0" * 16)
    spec = job_spec(dataset, method, quantization=quantization, optimizer=optimizer, lora={"rank": 32})
    found = estimate(spec, rows, SHAPES[shape], machine, None)
    peak = (found.peak_memory_bytes + CUDA_CONTEXT_BYTES) / 1e9
    return f"{peak:.0f} GB, {found.seconds / 60:.0f} min" if peak < gigabytes else f"{peak:.0f} GB: too large"


def test_the_estimates_of_the_page_are_those_of_preflight() -> None:
    for card, shape in LINES:
        cells = [cell(card, shape, method, bits) for method in ("sft", "dpo") for bits in ("nf4", "none")]
        gigabytes, _, teraflops, bandwidth = CARDS[card]
        line = f"| {card} {gigabytes} GB, {shape} | {teraflops}, {bandwidth} | {' | '.join(cells)} |"
        assert line in PAGE, line


def test_what_vllm_has_left_for_its_cache() -> None:
    """92 % of the card without the weights; a token of the cache is a key and a value a layer and key-value head, in 16 bits."""
    for (card, shape), factor in zip(LINES, (0.92, 0.92, 0.45, 0.45), strict=True):
        model = SHAPES[shape]
        room = factor * CARDS[card][0] * 1e9 - model.weight_bytes
        token = 2 * model.layers * model.key_value_heads * model.head_size * 2
        assert f"{card}: {room / 1e9:.0f} GB, {room / token / 1000:.0f} thousand tokens" in PAGE, (card, room, token)
