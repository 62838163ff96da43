"""How long a run will take, and how much memory and disk: pure functions of spec, workload, model shape, machine and past runs.

First principles give the shape (FLOPs, bytes, constants measured once on real runs: docs/training-estimates.md); the newest past
runs of the same kind give the scale. No torch here.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from burnish.schemas.training.hyperparameters import TARGET_MODULES
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS
from burnish.schemas.training.tuning import RunEstimate
from burnish_trainer.hardware.backends import Device, DType
from burnish_trainer.hardware.machine import Machine
from burnish_trainer.preflight.types import ModelShape, PastRun, Workload

SIZES: dict[DType, int] = {"bfloat16": 2, "float16": 2, "float32": 4}
SHARING = ("dpo",)  # kernels/rows.py goes through a prompt that a batch has twice once, on a CPU
NF4_BYTES = 0.53  # a weight, with its share of the doubly quantised block scales
CHECKPOINT_BYTES = 12  # a parameter on disk: weight and two moments
FULL_CHECKPOINTS = 3  # at the fullest moment: the newest, the best, and the one being written
NEWEST_RUNS = 5
MEASURED_SHARE = (0.2, 5.0)  # a ratio beyond says that a past run was disturbed


@dataclass(frozen=True)
class Prediction:
    """Of first principles alone."""

    seconds: float
    load_seconds: float
    peak_memory_bytes: float


@dataclass(frozen=True)
class Scale:
    """What past runs took, over what would have been predicted of them; runs: how many count."""

    seconds: float
    load_seconds: float
    peak_memory_bytes: float
    runs: int


@dataclass(frozen=True)
class Costs:
    """Constants of one kind of device, fitted once on real runs.

    efficiency: of matrix products of a model's shape, as a share of a large square one's; step_seconds and layer_seconds: a
    device step's fixed part, once and for each layer; checkpoint_seconds: to write, digest and upload one, its fixed part;
    process_bytes: of the process (CPU) or allocator (CUDA) before any model; adapter_bytes: a trained parameter, 16
    in weight, gradient and AdamW's two moments, the rest while a step or a checkpoint is made; hidden_bytes and intermediate_bytes: kept
    for the backward pass for each token, layer and unit of the hidden (intermediate) size, if these are 16 bits wide.
    """

    efficiency: float
    step_seconds: float
    layer_seconds: float
    checkpoint_seconds: float
    load_seconds: float
    load_bytes_per_second: float
    process_bytes: float
    adapter_bytes: float
    hidden_bytes: float
    intermediate_bytes: float
    logit_bytes: float


COSTS: dict[Device, Costs] = {
    "cpu": Costs(
        efficiency=0.35,
        step_seconds=0.02,
        layer_seconds=0.0005,
        checkpoint_seconds=0.1,
        load_seconds=0.5,
        load_bytes_per_second=1e9,
        process_bytes=0.73e9,
        adapter_bytes=32,
        hidden_bytes=12,
        intermediate_bytes=7.4,
        logit_bytes=14,
    ),
    "cuda": Costs(
        efficiency=0.45,
        step_seconds=0.02,
        layer_seconds=0.003,
        checkpoint_seconds=0.3,
        load_seconds=3.0,
        load_bytes_per_second=1e9,
        process_bytes=0.1e9,
        adapter_bytes=24,
        hidden_bytes=40,
        intermediate_bytes=16,
        logit_bytes=14,
    ),
}
FP32_EFFICIENCY = 0.9  # instead of `efficiency`: fp32 units are kept busy by small products too
CUDA_CONTEXT_BYTES = 600_000_000  # taken by the driver beside the allocator's peak


def adapter_parameters(spec: JobSpec, model: ModelShape) -> int:
    """Trained parameters: rank × (inputs + outputs) of each target module, and with DoRA a magnitude an output."""
    sizes = module_sizes(model)
    chosen = [sizes[name] for name in spec.lora.target_modules]
    own = sum(spec.lora.rank * (inputs + outputs) for inputs, outputs in chosen)
    return model.layers * (own + (sum(outputs for _, outputs in chosen) if spec.lora.use_dora else 0))


def module_sizes(model: ModelShape) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of each linear module that a layer may have; Phi's two are several of the others in one."""
    hidden, inner = model.hidden_size, model.intermediate_size
    queries, keys = model.attention_heads * model.head_size, model.key_value_heads * model.head_size
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
        "qkv_proj": (hidden, queries + 2 * keys),
        "gate_up_proj": (hidden, 2 * inner),
    }


def linear_parameters(model: ModelShape) -> int:
    """Of all layers' linear modules: those that NF4 quantises."""
    sizes = module_sizes(model)
    return model.layers * sum(inputs * outputs for inputs, outputs in (sizes[name] for name in TARGET_MODULES))


def predict(spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine) -> Prediction:
    """Of first principles alone, for one device of a run (its devices share the rows)."""
    if spec.method in SHARING and machine.device == "cpu":
        workload = workload.without_repeats()
    costs = COSTS[machine.device]
    return Prediction(
        seconds=_seconds(spec, workload, model, machine),
        load_seconds=costs.load_seconds + model.weight_bytes / costs.load_bytes_per_second,
        peak_memory_bytes=_peak_memory_bytes(spec, workload, model, machine),
    )


def scale_of(past: Sequence[PastRun], model: ModelShape, machine: Machine) -> Scale | None:
    """Median ratios of the newest past runs; None if all of them were disturbed."""
    ratios = []
    for run in past[:NEWEST_RUNS]:
        predicted = predict(run.spec, run.workload, model, machine)
        done = _share_done(run)
        ratio = (
            run.measured.seconds / (predicted.seconds * done),
            run.measured.load_seconds / predicted.load_seconds,
            run.measured.peak_memory_bytes / predicted.peak_memory_bytes,
        )
        if all(MEASURED_SHARE[0] < value < MEASURED_SHARE[1] for value in (ratio[0], ratio[2])):
            ratios.append(ratio)
    if not ratios:
        return None
    seconds, load, memory = (statistics.median(values) for values in zip(*ratios, strict=True))
    return Scale(seconds, load, memory, len(ratios))


def _share_done(run: PastRun) -> float:
    """A run that stopped early took less: the share of its planned tokens that it processed."""
    return min(1.0, run.measured.tokens / max(run.workload.padded_tokens, 1)) or 1.0


def estimate(
    spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine, scale: Scale | None, like: str = ""
) -> RunEstimate:
    """like: what the past runs behind `scale` were, if not the same kind ("sft"); goes into the basis."""
    predicted = predict(spec, workload, model, machine)
    by = scale or Scale(1.0, 1.0, 1.0, 0)
    return RunEstimate(
        seconds=round(predicted.seconds * by.seconds, 1),
        load_seconds=round(predicted.load_seconds * by.load_seconds, 1),
        peak_memory_bytes=round(predicted.peak_memory_bytes * by.peak_memory_bytes),
        available_memory_bytes=machine.available_memory_bytes,
        disk_bytes=disk_bytes(spec, workload, model),
        steps=workload.steps,
        tokens=workload.padded_tokens,
        basis=_basis(machine, scale, like),
    )


def _basis(machine: Machine, scale: Scale | None, like: str) -> str:
    if scale:
        runs = f"{scale.runs} like run{'s' if scale.runs > 1 else ''} on this machine"
        return f"{runs} ({like})" if like else runs
    speed = f"{machine.flops / 1e9:.0f} GFLOP/s in {machine.dtype}"
    return f"matrix-product speed ({speed}{'' if machine.speed_measured else ', guessed'}), no like run yet"


def disk_bytes(spec: JobSpec, workload: Workload, model: ModelShape) -> int:
    """Of the job's folder at its fullest moment: whole checkpoints and the base of a continued adapter."""
    parameters = adapter_parameters(spec, model)
    initial = 4 * parameters if spec.params.get("initial_adapter") else 0
    return FULL_CHECKPOINTS * CHECKPOINT_BYTES * parameters + initial + 50_000_000  # logs, events, a reference's table


def _seconds(spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine) -> float:
    costs = COSTS[machine.device]
    row_tokens = _mean_sequence(spec, workload)
    labels = workload.trained_tokens / max(workload.padded_tokens, 1)
    forwards = 2 if machine.device == "cuda" else 1  # gradient checkpointing goes forward twice
    trained = workload.padded_tokens * _token_seconds(spec, model, machine, row_tokens, labels, forwards, backwards=1)
    judged = workload.evaluations * workload.evaluation_tokens + workload.reference_tokens
    forward = judged * _token_seconds(spec, model, machine, row_tokens, labels, forwards=1, backwards=0)
    device_steps: float = workload.steps * spec.optimizer.gradient_accumulation_steps * 2  # forward and backward
    device_steps += judged / max(workload.evaluation_heaviest_tokens, workload.heaviest_step_tokens, 1)
    fixed = device_steps * (costs.step_seconds + model.layers * costs.layer_seconds)
    optimizer = workload.steps * adapter_parameters(spec, model) * OPTIMIZER_BYTES / machine.bytes_per_second
    saving = CHECKPOINT_BYTES * adapter_parameters(spec, model) / SAVED_BYTES_PER_SECOND + costs.checkpoint_seconds
    checkpoints = max(1, workload.evaluations, -(-workload.steps // spec.optimizer.evaluation_interval_steps))
    return (trained + forward) / spec.device_count + fixed + optimizer + checkpoints * saving


OPTIMIZER_BYTES = 40  # read and written a trained parameter by one step of AdamW, clipping included
SAVED_BYTES_PER_SECOND = 1e9  # to write, digest and upload
# Bytes read and written by elementwise kernels: a unit of the hidden (intermediate) size, token and layer, forward.
HIDDEN_TRAFFIC = 120
INTERMEDIATE_TRAFFIC = 40
LOGIT_TRAFFIC = 40  # a unit of the vocabulary and token that has logits


def _token_seconds(
    spec: JobSpec, model: ModelShape, machine: Machine, row_tokens: float, labels: float, forwards: int, backwards: int
) -> float:
    """Of one token that goes through the layers so often: matrix products by FLOPs, the rest by bytes moved.

    labels: share of tokens with logits.
    """
    layers, head = linear_parameters(model), model.hidden_size * model.vocabulary * labels
    attention = 2 * row_tokens * model.layers * model.attention_heads * model.head_size
    adapter = adapter_parameters(spec, model)
    frozen = forwards + backwards  # the gradient of a frozen product's input alone
    trained = forwards + 2 * backwards
    flops = 2 * (frozen * layers + (1 + backwards) * head + trained * (attention + adapter))
    units = model.layers * (HIDDEN_TRAFFIC * model.hidden_size + INTERMEDIATE_TRAFFIC * model.intermediate_size)
    traffic = (units + LOGIT_TRAFFIC * labels * model.vocabulary) * trained
    costs = COSTS[machine.device]
    quantised = QUANTISED_SLOWER[machine.device] if spec.quantization == "nf4" else 1.0
    efficiency = FP32_EFFICIENCY if machine.dtype == "float32" else costs.efficiency
    return quantised * flops / (machine.flops * efficiency) + traffic / machine.bytes_per_second


QUANTISED_SLOWER: dict[Device, float] = {"cpu": 1.6, "cuda": 1.15}  # weights are expanded for every product


def _mean_sequence(spec: JobSpec, workload: Workload) -> float:
    """Mean tokens of a sequence, padding included."""
    rows = workload.steps * spec.optimizer.rows_per_step * spec.device_count
    sequences = rows * (2 if METHODS[spec.method].has_pairs else 1)
    return min(float(workload.longest_row_tokens), workload.padded_tokens / max(sequences, 1))


def _peak_memory_bytes(spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine) -> float:
    costs = COSTS[machine.device]
    trained = adapter_parameters(spec, model) * costs.adapter_bytes
    training = trained + _activation_bytes(spec, workload, model, machine, workload.heaviest_step_tokens)
    return costs.process_bytes + weight_bytes(spec, model, machine) + training


def weight_bytes(spec: JobSpec, model: ModelShape, machine: Machine) -> float:
    """Of the base as it is held: in dtype, or its linear modules in NF4."""
    if spec.quantization == "none":
        return model.parameters * SIZES[machine.dtype]
    linear = linear_parameters(model)
    return linear * NF4_BYTES + (model.parameters - linear) * SIZES[machine.dtype]


def _activation_bytes(spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine, tokens: float) -> float:
    """What the backward pass needs of the heaviest device step, and its logits.

    With gradient checkpointing (on CUDA): the input of every layer, and one layer whole.
    """
    costs = COSTS[machine.device]
    wider = SIZES[machine.dtype] / SIZES["bfloat16"]
    unit = wider * (costs.hidden_bytes * model.hidden_size + costs.intermediate_bytes * model.intermediate_size)
    if machine.device == "cuda":
        layers = tokens * (unit + SIZES[machine.dtype] * model.layers * model.hidden_size)
    else:
        layers = tokens * unit * model.layers
    labels = workload.trained_tokens / max(workload.padded_tokens, 1)
    return layers + tokens * labels * model.vocabulary * costs.logit_bytes
