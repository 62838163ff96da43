"""Preflight of a job before it takes a device: its checks, and its estimate. Called by the scheduler and by PreviewTuningJob.

The findings of the estimate (docs/training-estimates.md): does-not-fit, misses-deadline, disk-full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

from burnish.digests import canonical_json, sha256_hex
from burnish.schemas.base import BaseModelRef
from burnish.schemas.training.hosted import HostedSpec
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS
from burnish.schemas.training.tuning import Finding, RunEstimate, SmallerRun
from burnish_trainer.hardware import backends
from burnish_trainer.hardware.machine import Machine
from burnish_trainer.preflight.estimate import (
    CUDA_CONTEXT_BYTES,
    NEWEST_RUNS,
    Scale,
    estimate,
    scale_of,
    weight_bytes,
)
from burnish_trainer.preflight.prices import PriceTable
from burnish_trainer.preflight.registry import accept, finding
from burnish_trainer.preflight.types import Checker, CheckReport, ModelShape, PastRuns, Preview, Workload

CLEARLY_OVER = 1.25  # the estimate's own error once calibrated
CLEARLY_OVER_UNCALIBRATED = 2.0
SHORTEST_LENGTH = 128
LEAST_RANK = 8
MEGABYTE = 1e6


class RunPlanner:
    """burnish_trainer.preflight.types.Planner. machine: read anew for every job. prices: of hosted jobs."""

    def __init__(
        self,
        checker: Checker,
        past_runs: PastRuns,
        base_model: BaseModelRef,
        machine: Callable[[], Machine],
        prices: PriceTable | None = None,
    ) -> None:
        self._checker = checker
        self._past_runs = past_runs
        self._base_model = base_model
        self._machine = machine
        self._prices = prices or PriceTable.shipped()

    def preview(self, spec: JobSpec, deadline: datetime | None = None, given_up: Event | None = None) -> Preview:
        spec.require_base(self._base_model)
        report = self._checker.check(spec, given_up)
        if spec.hosted is not None:
            return self._hosted(spec, spec.hosted, report)
        machine = self._machine()
        kind = self._kind(spec, machine, spec.method)
        workload, model = report.workload, report.model
        if workload is None or model is None:
            return Preview(findings=report.findings, workload=workload, estimate=None, kind=kind)
        scale, like = self._scale(spec, model, machine)
        estimated = estimate(spec, workload, model, machine, scale, like)
        estimated = estimated.model_copy(update={"smaller": _smaller(spec, workload, model, machine, scale)})
        own = (
            *_check_memory(spec, workload, model, machine, scale),
            *_check_deadline(estimated, deadline, scale),
            *_check_disk(estimated, machine),
        )
        findings = accept([*report.findings, *own], spec.accepted_findings)
        return Preview(findings=findings, workload=workload, estimate=estimated, kind=kind)

    def _hosted(self, spec: JobSpec, hosted: HostedSpec, report: CheckReport) -> Preview:
        """What matters of a hosted job is its price."""
        estimated, own = self._prices.estimate(hosted, spec, report.hosted_tokens or 0)
        findings = accept([*report.findings, *own], spec.accepted_findings)
        return Preview(findings=findings, workload=None, estimate=estimated, kind="")

    def _scale(self, spec: JobSpec, model: ModelShape, machine: Machine) -> tuple[Scale | None, str]:
        """By runs of the same method, else of another one that is otherwise alike, which `like` then names."""
        others = [method for method in METHODS if method != spec.method]
        for method in (spec.method, *others):
            past = self._past_runs.past_runs(self._kind(spec, machine, method), NEWEST_RUNS)
            if scale := scale_of(past, model, machine):
                return scale, "" if method == spec.method else method
        return None, ""

    def _kind(self, spec: JobSpec, machine: Machine, method: str) -> str:
        backend = backends.choose(spec.backend, machine.device).name if spec.backend == "auto" else spec.backend
        alike = {
            "machine": machine.name,
            "device": machine.device,
            "device_count": spec.device_count,
            "dtype": machine.dtype,
            "base_model": self._base_model.digest,
            "method": method,
            "quantization": spec.quantization,
            "backend": backend,
        }
        return sha256_hex(canonical_json(alike))


def _check_memory(
    spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine, scale: Scale | None
) -> Iterable[Finding]:
    """On CUDA whatever does not fit is refused; on a CPU only what is clearly over, since memory is shared and estimates err."""

    def needed(change: Change) -> float:
        changed = estimate(change.spec, change.workload, model, machine, scale).peak_memory_bytes
        return changed + (CUDA_CONTEXT_BYTES if machine.device == "cuda" else 0)

    as_asked = Change("", spec, workload)
    needs, free = needed(as_asked), machine.available_memory_bytes
    if needs <= free:
        return
    over = 1.0 if machine.device == "cuda" else _clearly_over(scale)
    fitting = _mildest(as_asked, lambda change: needed(change) <= free)
    least = weight_bytes(spec.model_copy(update={"quantization": "nf4"}), model, machine)
    advice = (
        f"would fit: {'; or '.join(fitting[:3])}"
        if fitting
        else f"nothing smaller would fit either: the base model alone takes {_megabytes(least)} MB even in 4 bits"
    )
    there = f"{machine.name} has {_megabytes(free)} MB free"
    if machine.device == "cuda":
        there += f" of {_megabytes(machine.memory_bytes)}"
    yield finding(
        "does-not-fit",
        severity="refusal" if needs > over * free else "warning",
        message=f"the run would need about {_megabytes(needs)} MB and {there}; {advice}",
    )


def _smaller(
    spec: JobSpec, workload: Workload, model: ModelShape, machine: Machine, scale: Scale | None
) -> tuple[SmallerRun, ...]:
    """What advice after an out-of-memory failure is made of, when the rows are no longer at hand."""
    return tuple(
        SmallerRun(
            what=change.what,
            peak_memory_bytes=estimate(change.spec, change.workload, model, machine, scale).peak_memory_bytes,
            quantization=change.spec.quantization,
            rank=change.spec.lora.rank,
            batch_size=change.spec.optimizer.batch_size,
            gradient_accumulation_steps=change.spec.optimizer.gradient_accumulation_steps,
            max_length=change.spec.optimizer.max_length,
        )
        for way in changes(Change("", spec, workload))
        for change in way
    )


def _mildest(asked: Change, fits: Callable[[Change], bool]) -> list[str]:
    """The least of each way that is enough; none that only goes further than one before it."""
    mildest: list[str] = []
    for way in changes(asked):
        enough = next((change.what for change in way if fits(change)), None)
        if enough and not any(enough.startswith(milder) for milder in mildest):
            mildest.append(enough)
    return mildest


def _clearly_over(scale: Scale | None) -> float:
    return CLEARLY_OVER if scale else CLEARLY_OVER_UNCALIBRATED


@dataclass(frozen=True)
class Change:
    """A spec changed so that it takes less memory, and its workload as far as that can be told without the rows.

    what: the changes, for people. A change that would not make the run smaller is left out: the same object comes back.
    """

    what: str
    spec: JobSpec
    workload: Workload

    def to_nf4(self) -> Change:
        return self if self.spec.quantization == "nf4" else self._with("quantization nf4 (QLoRA)", quantization="nf4")

    def to_rank(self, rank: int) -> Change:
        lora = self.spec.lora
        if rank >= lora.rank:
            return self
        smaller = lora.model_copy(update={"rank": rank, "alpha": max(1, lora.alpha * rank // lora.rank)})
        return self._with(f"lora.rank {rank}", lora=smaller)

    def to_batch(self, batch: int) -> Change:
        """The same rows a step, in more device steps."""
        optimizer = self.spec.optimizer
        if batch >= optimizer.batch_size:
            return self
        accumulation = -(-optimizer.rows_per_step // batch)
        smaller = optimizer.model_copy(update={"batch_size": batch, "gradient_accumulation_steps": accumulation})
        what = f"optimizer.batch_size {batch} with gradient_accumulation_steps {accumulation}"
        heaviest = self.workload.heaviest_step_tokens * batch / optimizer.batch_size
        return self._with(what, heaviest, optimizer=smaller)

    def to_length(self, length: int) -> Change:
        longest = self.workload.longest_row_tokens
        if length >= longest:
            return self
        what = f"optimizer.max_length {length} without the longer rows (the longest has {longest} tokens)"
        heaviest = self.workload.heaviest_step_tokens * length / longest
        return self._with(what, heaviest, optimizer=self.spec.optimizer.model_copy(update={"max_length": length}))

    def _with(self, what: str, heaviest: float | None = None, **fields: Any) -> Change:
        """heaviest: tokens of the heaviest device step, if the change has an effect on them."""
        workload = self.workload
        if heaviest is not None:
            workload = workload.model_copy(update={"heaviest_step_tokens": max(1, round(heaviest))})
        both = f"{self.what}, {what}" if self.what else what
        return Change(both, self.spec.model_copy(update=fields), workload)


def changes(asked: Change) -> list[list[Change]]:
    """Ways to take less memory, the mildest first, each from little to much of it: batch, 4 bits, shorter rows, and together."""
    least = METHODS[asked.spec.method].least_batch_size
    batches = _halved(asked.spec.optimizer.batch_size, least)
    lengths = _halved(asked.workload.longest_row_tokens, SHORTEST_LENGTH)
    quantised = asked.to_nf4()
    smallest = quantised.to_batch(least).to_rank(LEAST_RANK)
    ways = [
        [asked.to_batch(batch) for batch in batches],
        [quantised],
        [asked.to_length(length) for length in lengths],
        [quantised.to_batch(batch) for batch in batches],
        [smallest, *(smallest.to_length(length) for length in lengths)],
    ]
    return [[change for change in way if change is not asked] for way in ways]


def _halved(value: int, least: int) -> list[int]:
    """value / 2, value / 4, … down to `least`."""
    halves = []
    while (value := value // 2) >= least:
        halves.append(value)
    return halves


def _check_deadline(estimated: RunEstimate, deadline: datetime | None, scale: Scale | None) -> Iterable[Finding]:
    """Waiting for a device is not counted: it cannot be told. Not clearly over, since an estimate errs, is a warning."""
    if deadline is None:
        return
    left = (deadline - datetime.now(UTC)).total_seconds()
    needs = estimated.load_seconds + estimated.seconds
    if needs <= left:
        return
    yield finding(
        "misses-deadline",
        severity="refusal" if needs > _clearly_over(scale) * left else "warning",
        message=f"the run would take about {needs:.0f} s ({estimated.basis}) and its deadline is {max(left, 0):.0f} s away: set "
        "a later one, or fewer optimizer.epochs",
    )


def _check_disk(estimated: RunEstimate, machine: Machine) -> Iterable[Finding]:
    if estimated.disk_bytes > machine.free_disk_bytes:
        yield finding(
            "disk-full",
            f"the run would need {_megabytes(estimated.disk_bytes)} MB of disk at its fullest moment and "
            f"{_megabytes(machine.free_disk_bytes)} MB are free under BURNISH_TRAINER_WORK_DIR: make room, or lower lora.rank",
        )


def _megabytes(size_bytes: float) -> str:
    return f"{-(-size_bytes // MEGABYTE):.0f}"
