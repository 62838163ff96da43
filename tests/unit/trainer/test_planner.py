"""The estimate before a run, and what it refuses: on machines that the test makes up, a GPU of 8 GB among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from unit.trainer.made import job_spec

from burnish.schemas.base import BaseModelRef, VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunMeasurement
from burnish_trainer.hardware.machine import (
    Machine,
    MachineReader,
    children_bytes,
    processor_name,
)
from burnish_trainer.preflight.estimate import adapter_parameters, predict, scale_of
from burnish_trainer.preflight.planner import RunPlanner
from burnish_trainer.preflight.types import CheckReport, ModelShape, PastRun, Preview, Workload

GB = 10**9
DATASET = VersionRef(name="colours", version="0" * 16)
SMOLLM = ModelShape(
    parameters=134_515_008,
    hidden_size=576,
    intermediate_size=1536,
    layers=30,
    attention_heads=9,
    key_value_heads=3,
    head_size=64,
    vocabulary=49152,
    weight_bytes=269_000_000,
)
LLAMA_8B = ModelShape(
    parameters=8_030_261_248,
    hidden_size=4096,
    intermediate_size=14336,
    layers=32,
    attention_heads=32,
    key_value_heads=8,
    head_size=128,
    vocabulary=128256,
    weight_bytes=16_060_000_000,
)
WORKLOAD = Workload(
    steps=60,
    rows=160,
    padded_tokens=60 * 8 * 400,
    trained_tokens=60 * 8 * 40,
    heaviest_step_tokens=8 * 900,
    longest_row_tokens=900,
    evaluations=5,
    evaluation_tokens=8000,
    evaluation_heaviest_tokens=4000,
    reference_tokens=0,
)


def cpu(**changes: Any) -> Machine:
    fields: dict[str, Any] = {
        "device": "cpu",
        "name": "two cores",
        "dtype": "bfloat16",
        "memory_bytes": 24 * GB,
        "available_memory_bytes": 20 * GB,
        "free_disk_bytes": 100 * GB,
        "flops": 1e12,
        "bytes_per_second": 1e10,
        "speed_measured": True,
    }
    return Machine.model_validate(fields | changes)


def gpu(memory_bytes: int) -> Machine:
    return cpu(
        device="cuda",
        name="a GPU",
        memory_bytes=memory_bytes,
        available_memory_bytes=memory_bytes,
        flops=5e13,
        bytes_per_second=4e11,
    )


@dataclass
class Checked:
    """A Checker that has looked already."""

    report: CheckReport

    def check(self, spec: JobSpec, given_up: Event | None = None) -> CheckReport:
        return self.report


@dataclass
class Remembered:
    """PastRuns of a dictionary; asked: the kinds that were asked for."""

    runs: dict[str, list[PastRun]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def past_runs(self, kind: str, limit: int) -> list[PastRun]:
        self.asked.append(kind)
        return self.runs.get(kind, [])[:limit]


@dataclass
class Plans:
    """Previews on one machine."""

    folder: Path
    machine: Machine
    model: ModelShape = SMOLLM
    workload: Workload | None = WORKLOAD
    findings: Sequence[Finding] = ()
    past: Remembered = field(default_factory=Remembered)

    def preview(self, deadline: datetime | None = None, method: str = "sft", **spec: Any) -> Preview:
        report = CheckReport(
            findings=list(self.findings), workload=self.workload, model=self.model if self.workload else None
        )
        base = BaseModelRef(name="base", digest="sha256:0")
        planner = RunPlanner(Checked(report), self.past, base, lambda: self.machine)
        return planner.preview(job_spec(DATASET, method, **spec), deadline)


@pytest.fixture
def plans(tmp_path: Path) -> Callable[..., Plans]:
    return lambda machine=None, **fields: Plans(tmp_path, machine or cpu(), **fields)


def measured(seconds: float, peak: float, tokens: int = WORKLOAD.padded_tokens) -> RunMeasurement:
    return RunMeasurement(
        seconds=seconds, load_seconds=2, peak_memory_bytes=round(peak), tokens=tokens, queue_seconds=0.5
    )


@pytest.mark.parametrize(
    ("shape", "rank", "gigabytes"),
    [
        ({"padded_tokens": 54_112, "trained_tokens": 9_360, "heaviest_step_tokens": 1528}, 32, 2.449),
        ({"padded_tokens": 8_740, "trained_tokens": 848, "heaviest_step_tokens": 1324}, 16, 2.110),
    ],
    ids=["the demo's rows", "longer rows"],
)
def test_memory_is_near_what_was_measured(shape: dict[str, int], rank: int, gigabytes: float) -> None:
    """SmolLM2-135M in bf16 on two cores, without a past run; before workers kept few compiled products, the demo's peak was 3.0 GB."""
    workload = WORKLOAD.model_copy(update=shape)
    said = predict(job_spec(DATASET, lora={"rank": rank}), workload, SMOLLM, cpu()).peak_memory_bytes
    assert said == pytest.approx(gigabytes * GB, rel=0.15)


def past_run(spec: JobSpec, time: float = 1.0, memory: float = 1.0, share: float = 1.0) -> PastRun:
    """A run that took so many times what first principles say of it, over a share of its tokens."""
    said = predict(spec, WORKLOAD, SMOLLM, cpu())
    done = measured(said.seconds * time * share, said.peak_memory_bytes * memory, round(WORKLOAD.padded_tokens * share))
    return PastRun(spec=spec, workload=WORKLOAD, measured=done)


def test_a_job_that_fits_is_estimated_without_a_finding(plans: Callable[..., Plans]) -> None:
    preview = plans().preview(deadline=datetime.now(UTC) + timedelta(days=2))
    assert preview.findings == []
    assert preview.estimate is not None
    assert (preview.estimate.steps, preview.estimate.tokens) == (60, WORKLOAD.padded_tokens)
    assert preview.estimate.available_memory_bytes == 20 * GB
    assert preview.estimate.basis == "matrix-product speed (1000 GFLOP/s in bfloat16), no like run yet"


def test_an_eight_gigabyte_gpu_refuses_what_does_not_fit_and_says_what_would(plans: Callable[..., Plans]) -> None:
    preview = plans(gpu(8 * GB), model=LLAMA_8B).preview(lora={"rank": 32}, optimizer={"batch_size": 8})
    [finding] = preview.findings
    assert (finding.code, finding.severity) == ("does-not-fit", "refusal")
    assert preview.refused
    assert finding.message.endswith(
        "a GPU has 8000 MB free of 8000; would fit: quantization nf4 (QLoRA), optimizer.batch_size 1 with gradient_accumulation_steps 8, "
        "lora.rank 8"
    )


def test_the_mildest_changes_that_fit_come_first(plans: Callable[..., Plans]) -> None:
    [finding] = plans(gpu(20 * GB), model=LLAMA_8B).preview(optimizer={"batch_size": 8}).findings
    assert "would fit: optimizer.batch_size 2 with gradient_accumulation_steps 4; or quantization nf4 (QLoRA); or " in (
        finding.message
    )


def test_what_is_said_to_fit_does_fit(plans: Callable[..., Plans]) -> None:
    optimizer = {"batch_size": 1, "gradient_accumulation_steps": 8}
    workload = WORKLOAD.model_copy(update={"heaviest_step_tokens": 900})
    machine = gpu(8 * GB)
    smaller = plans(machine, model=LLAMA_8B, workload=workload).preview(
        quantization="nf4", optimizer=optimizer, lora={"rank": 8}
    )
    assert smaller.findings == []


def test_a_gpu_too_small_for_the_base_alone_says_so(plans: Callable[..., Plans]) -> None:
    [finding] = plans(gpu(4 * GB), model=LLAMA_8B).preview().findings
    assert "nothing smaller would fit either: the base model alone takes" in finding.message
    assert "in 4 bits" in finding.message


def test_a_refusal_can_be_accepted(plans: Callable[..., Plans]) -> None:
    preview = plans(gpu(8 * GB), model=LLAMA_8B).preview(accepted_findings=("does-not-fit",))
    [finding] = preview.findings
    assert (finding.severity, preview.refused) == ("warning", False)
    assert finding.message.startswith("accepted by the caller: ")


@pytest.mark.parametrize(("share", "severity"), [(0.7, "warning"), (0.4, "refusal")])
def test_a_cpu_refuses_only_what_is_clearly_over(plans: Callable[..., Plans], share: float, severity: str) -> None:
    needs = plans().preview().estimate
    assert needs is not None
    machine = cpu(available_memory_bytes=int(needs.peak_memory_bytes * share))
    [finding] = plans(machine).preview().findings
    assert (finding.code, finding.severity) == ("does-not-fit", severity)
    assert "MB free" in finding.message


def test_a_run_that_cannot_be_done_by_its_deadline_is_refused(plans: Callable[..., Plans]) -> None:
    said = plans().preview().estimate
    assert said is not None
    whole = said.load_seconds + said.seconds

    def severities(share: float) -> list[str]:
        deadline = datetime.now(UTC) + timedelta(seconds=whole * share)
        return [f"{found.code} {found.severity}" for found in plans().preview(deadline=deadline).findings]

    assert severities(1.1) == []
    assert severities(0.8) == ["misses-deadline warning"]
    assert severities(0.3) == ["misses-deadline refusal"]
    assert severities(-1) == ["misses-deadline refusal"]


def test_a_disk_too_small_for_the_checkpoints_is_refused_in_megabytes(plans: Callable[..., Plans]) -> None:
    preview = plans(cpu(free_disk_bytes=123_400_000)).preview(lora={"rank": 32})
    [finding] = preview.findings
    parameters = adapter_parameters(job_spec(DATASET, lora={"rank": 32}), SMOLLM)
    assert parameters == 9_768_960
    assert preview.estimate is not None
    assert preview.estimate.disk_bytes > 3 * 12 * parameters
    assert finding.code == "disk-full"
    assert "124 MB are free" in finding.message
    assert f"would need {-(-preview.estimate.disk_bytes // 10**6)} MB" in finding.message


def test_findings_of_preflight_come_along_and_refusals_first(plans: Callable[..., Plans]) -> None:
    warning = Finding(code="few-rows", severity="warning", message="few")
    preview = plans(cpu(free_disk_bytes=0), findings=[warning]).preview()
    assert [found.code for found in preview.findings] == ["disk-full", "few-rows"]


def test_where_preflight_left_nothing_to_count_there_is_no_estimate(plans: Callable[..., Plans]) -> None:
    refusal = Finding(code="row-unreadable", severity="refusal", message="line 1")
    preview = plans(workload=None, findings=[refusal]).preview()
    assert (preview.estimate, preview.workload, preview.findings) == (None, None, [refusal])


def test_past_runs_scale_the_estimate(plans: Callable[..., Plans]) -> None:
    first = plans()
    before = first.preview()
    assert before.estimate is not None
    spec = job_spec(DATASET, "sft")
    runs = [past_run(spec, time=2.0, memory=1.5), past_run(spec, time=2.2, memory=1.4), past_run(spec, time=90.0)]
    after = plans(past=Remembered({before.kind: runs})).preview().estimate
    assert after is not None
    assert after.seconds == pytest.approx(2.1 * before.estimate.seconds, rel=0.01)
    assert after.peak_memory_bytes == pytest.approx(1.45 * before.estimate.peak_memory_bytes, rel=0.01)
    assert after.basis == "2 like runs on this machine"


def test_a_run_that_stopped_early_counts_by_what_it_did() -> None:
    spec = job_spec(DATASET, "sft")
    scale = scale_of([past_run(spec, time=1.5, share=0.4)], SMOLLM, cpu())
    assert scale is not None
    assert scale.seconds == pytest.approx(1.5, rel=0.01)


def test_a_first_run_of_a_method_is_scaled_by_another_methods_runs(plans: Callable[..., Plans]) -> None:
    kind = plans().preview().kind
    past = Remembered({kind: [past_run(job_spec(DATASET, "sft"), time=3.0)]})
    preview = plans(past=past).preview(method="dpo")
    assert preview.estimate is not None
    assert preview.estimate.basis == "1 like run on this machine (sft)"
    assert preview.kind == past.asked[0] != kind


def test_rank_and_rows_leave_the_kind_alone_and_quantisation_does_not(plans: Callable[..., Plans]) -> None:
    kinds = [
        plans().preview(**spec).kind
        for spec in ({}, {"lora": {"rank": 64}}, {"optimizer": {"batch_size": 1}}, {"quantization": "nf4"})
    ]
    assert kinds[0] == kinds[1] == kinds[2] != kinds[3]
    assert plans(cpu(name="four cores")).preview().kind != kinds[0]


def change(of: str, to: Any, machine: Machine | None = None) -> tuple[float, float]:
    """(time, memory) of a run after one change over those before it."""
    spec, workload = job_spec(DATASET, "sft"), WORKLOAD
    before = predict(spec, workload, SMOLLM, machine or cpu())
    if of in Workload.model_fields:
        workload = workload.model_copy(update={of: to})
    else:
        spec = job_spec(DATASET, "sft", **{of: to})
    after = predict(spec, workload, SMOLLM, machine or cpu())
    return after.seconds / before.seconds, after.peak_memory_bytes / before.peak_memory_bytes


def test_what_costs_more_is_said_to_cost_more() -> None:
    time, memory = change("padded_tokens", 2 * WORKLOAD.padded_tokens)
    assert 1.5 < time < 2.2
    assert change("heaviest_step_tokens", 2 * WORKLOAD.heaviest_step_tokens)[1] > 1.3
    assert change("reference_tokens", WORKLOAD.padded_tokens)[0] > 1.1
    assert change("lora", {"rank": 256})[0] > 1.0 < change("lora", {"rank": 256})[1]
    assert change("quantization", "nf4")[1] < 1.0
    slower = predict(job_spec(DATASET, "sft"), WORKLOAD, SMOLLM, cpu(flops=2e11, bytes_per_second=2e9)).seconds
    assert slower > 3 * predict(job_spec(DATASET, "sft"), WORKLOAD, SMOLLM, cpu()).seconds
    assert memory <= 1.0


def test_memory_of_descendants_is_counted() -> None:
    assert children_bytes(os.getppid()) >= 10 << 20, "this test's process is among the parent's descendants"


def test_this_machine_is_read_and_its_speed_kept(tmp_path: Path) -> None:
    """A speed of its name is there already, so that none is measured."""
    name = processor_name()
    (tmp_path / "speed.json").write_text(
        f'{{"name": "{name}", "dtype": "float32", "flops": 7e9, "bytes_per_second": 5e9}}'
    )
    machine = MachineReader(tmp_path, "cpu")()
    assert (machine.device, machine.dtype, machine.flops, machine.speed_measured) == ("cpu", "float32", 7e9, True)
    assert 0 < machine.available_memory_bytes <= machine.memory_bytes
    assert machine.free_disk_bytes > 0


def test_a_repeated_prompt_costs_dpo_nothing_on_a_cpu() -> None:
    """Its step goes through it once (kernels/rows.py); padded batches on a GPU, and other methods, go through it again."""
    repeated = WORKLOAD.model_copy(update={"repeated_tokens": 90_000, "repeated_heaviest_tokens": 3000})
    for method, machine, shares in (
        ("dpo", cpu(), True),
        ("dpo", gpu(24 * GB), False),
        ("orpo", cpu(), False),
    ):
        before, after = (
            predict(job_spec(DATASET, method), workload, SMOLLM, machine) for workload in (WORKLOAD, repeated)
        )
        assert (after.seconds < 0.8 * before.seconds) == shares
        assert (after.peak_memory_bytes < 0.8 * before.peak_memory_bytes) == shares
