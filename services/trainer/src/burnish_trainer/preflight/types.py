"""What is known of a job before it takes a device: what passes between checks, estimate, scheduler and rpc."""

from __future__ import annotations

from datetime import datetime
from threading import Event
from typing import Protocol

from pydantic import Field

from burnish.schemas.base import Frozen
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.tuning import Finding, RunEstimate, RunMeasurement


class ModelShape(Frozen):
    """Of the base model, from its config.json and weight files."""

    parameters: int
    hidden_size: int
    intermediate_size: int
    layers: int
    attention_heads: int
    key_value_heads: int
    head_size: int
    vocabulary: int
    weight_bytes: int = Field(description="of the weight files as they are stored")


class Workload(Frozen):
    """What a job's batch schedule makes a device do, counted on its real rows.

    padded_tokens: processed by all training steps; heaviest_step_tokens: rows × longest row of the heaviest device step;
    evaluation_tokens and evaluation_heaviest_tokens: the same of one evaluation; reference_tokens: of the reference pass, 0
    if there is none or it is stored already. repeated_…: of these, tokens of prompts that their batch has once more.
    """

    steps: int
    rows: int
    padded_tokens: int
    trained_tokens: int
    heaviest_step_tokens: int
    longest_row_tokens: int
    evaluations: int
    evaluation_tokens: int
    evaluation_heaviest_tokens: int
    reference_tokens: int
    repeated_tokens: int = 0
    repeated_heaviest_tokens: int = 0
    repeated_evaluation_tokens: int = 0
    repeated_reference_tokens: int = 0

    def without_repeats(self) -> Workload:
        """What is left to do if every prompt of a batch is gone through once."""
        return self.model_copy(
            update={
                "padded_tokens": self.padded_tokens - self.repeated_tokens,
                "heaviest_step_tokens": self.heaviest_step_tokens - self.repeated_heaviest_tokens,
                "evaluation_tokens": self.evaluation_tokens - self.repeated_evaluation_tokens,
                "reference_tokens": self.reference_tokens - self.repeated_reference_tokens,
            }
        )


class CheckReport(Frozen):
    """What the checks found. workload and model are None if a refusal left nothing to count.

    hosted_tokens: of a hosted job's training rows, by the base model's tokenizer, each row once; it has no workload.
    """

    findings: list[Finding]
    workload: Workload | None
    model: ModelShape | None
    hosted_tokens: int | None = None


class PastRun(Frozen):
    """A run of the same kind that succeeded: its spec, what was counted before it and what it took."""

    spec: JobSpec
    workload: Workload
    measured: RunMeasurement


class Preview(Frozen):
    """Preflight's findings with those of the estimate (does not fit, misses its deadline, disk), and the estimate.

    kind: digest of what must be alike for one run's figures to say anything of another's (machine, device, base model,
    method, precision, quantisation, backend).
    """

    findings: list[Finding]
    workload: Workload | None
    estimate: RunEstimate | None
    kind: str

    @property
    def refused(self) -> bool:
        return any(finding.severity == "refusal" for finding in self.findings)


class Checker(Protocol):
    """Runs the checks on a job's rows without taking a device. Blocks; thread-safe."""

    def check(self, spec: JobSpec, given_up: Event | None = None) -> CheckReport:
        """UnavailableError if they cannot be run now (the object store does not answer, or given_up was set meanwhile);
        ResourceExhaustedError if they take more time or memory than they may have."""
        ...


class PastRuns(Protocol):
    """Where past runs are kept (the queue's database)."""

    def past_runs(self, kind: str, limit: int) -> list[PastRun]:
        """Newest first."""
        ...


class Planner(Protocol):
    """Preflight and estimate of a job. Blocks; thread-safe."""

    def preview(self, spec: JobSpec, deadline: datetime | None = None, given_up: Event | None = None) -> Preview:
        """Raises what `Checker.check` raises. given_up: set once nobody waits for it any more, so that others need not wait."""
        ...
