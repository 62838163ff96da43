"""What a job's plan makes a device do, counted on its rows' real token counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from burnish_trainer.order import Plan, make_plan
from burnish_trainer.preparation import Workload
from burnish_trainer.spec import JobSpec
from burnish_trainer.tokens import Example

Group = Sequence[Example]  # the sequences of one row: its completion, or chosen and rejected
PAIRED = ("dpo", "orpo", "simpo")
REFERENCED = ("dpo", "kto")


def count(
    spec: JobSpec, train: Sequence[Group], validation: Sequence[Group], reference_cached: bool = False
) -> Workload:
    """The Workload of a job. train must not be empty; each group has the sequences of one row in their order."""
    step_tokens = _step_tokens(spec.method)
    plan = plan_of(spec, train)
    batch = spec.optimizer.batch_size
    steps = [step_tokens([train[row] for row in rows]) for rows in _cut(plan.order, batch)]
    evaluation = [step_tokens(groups) for groups in _cut(validation, batch)]
    reference = [
        step_tokens(groups) for groups in _cut([*(train[row] for row in sorted(set(plan.order))), *validation], batch)
    ]
    return Workload(
        steps=plan.steps,
        rows=len(train),
        padded_tokens=sum(steps),
        trained_tokens=plan.trained_until(plan.steps),
        heaviest_step_tokens=max(steps),
        longest_row_tokens=max(len(example.ids) for group in [*train, *validation] for example in group),
        evaluations=plan.steps // spec.optimizer.evaluation_interval_steps if validation else 0,
        evaluation_tokens=sum(evaluation),
        evaluation_heaviest_tokens=max(evaluation, default=0),
        reference_tokens=sum(reference) if spec.method in REFERENCED and not reference_cached else 0,
    )


def plan_of(spec: JobSpec, train: Sequence[Group]) -> Plan:
    """The plan that the method will make of these rows."""
    return make_plan(
        [sum(len(example.ids) for example in group) for group in train],
        [sum(example.trained_tokens for example in group) for group in train],
        spec.optimizer,
        spec.seed,
        spec.device_count,
    )


def _step_tokens(method: str) -> Callable[[Sequence[Group]], int]:
    return _kto_tokens if method == "kto" else _padded_tokens


def _padded_tokens(groups: Sequence[Group]) -> int:
    """Sequences × the longest of them: chosen and rejected go through the model as one batch."""
    lengths = [len(example.ids) for group in groups for example in group]
    return len(lengths) * max(lengths)


def _kto_tokens(groups: Sequence[Group]) -> int:
    """The rows, and once more each prompt with the completion of the row before it (the first: of the last), forward only."""
    rows = [group[0] for group in groups]
    mismatched = [row.prompt_tokens + other.trained_tokens for row, other in zip(rows, [rows[-1], *rows], strict=False)]
    return _padded_tokens(groups) + len(rows) * max(mismatched)


def _cut(items: Sequence[int] | Sequence[Group], size: int) -> list[Sequence]:  # type: ignore[type-arg]
    return [items[start : start + size] for start in range(0, len(items), size)]
