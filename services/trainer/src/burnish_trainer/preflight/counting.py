"""What a job's plan makes a device do, counted on its rows' real token counts: by the plans that the methods themselves make."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from burnish.schemas.job import JobSpec
from burnish.schemas.methods import METHODS
from burnish_trainer.data.batches import Plan, make_plan
from burnish_trainer.data.pairs import Pair, plan_pairs
from burnish_trainer.data.tokens import Example
from burnish_trainer.preflight.types import Workload
from burnish_trainer.worker.methods import kto

Group = Sequence[Example]  # the sequences of one row: its completion, or chosen and rejected


def count(spec: JobSpec, train: Sequence[Group], validation: Sequence[Group], reference_kept: bool = False) -> Workload:
    """The Workload of a job. train must not be empty; reference_kept: its reference pass is in the object store already.

    Chosen and rejected go through the model as one batch. A KTO row goes through it with its own answer and, forward
    only, with another row's; both count.
    """
    plan = plan_of(spec, train)
    steps = _forwards(spec, [train[row] for row in plan.order], train)
    evaluation = _forwards(spec, validation, train)
    sequences = {example for step in [*steps, *evaluation] for batch in step for example in batch}
    reference = sequences if METHODS[spec.method].uses_reference and not reference_kept else set()
    heaviest = max(steps, key=_step_tokens)
    return Workload(
        steps=plan.steps,
        rows=len(train),
        padded_tokens=sum(map(_step_tokens, steps)),
        trained_tokens=plan.trained_until(plan.steps),
        heaviest_step_tokens=_step_tokens(heaviest),
        longest_row_tokens=max(len(example.ids) for example in sequences),
        evaluations=plan.steps // spec.optimizer.evaluation_interval_steps if validation else 0,
        evaluation_tokens=sum(map(_step_tokens, evaluation)),
        evaluation_heaviest_tokens=max(map(_step_tokens, evaluation), default=0),
        reference_tokens=sum(len(example.ids) for example in reference),
        repeated_tokens=sum(map(_repeated_tokens, steps)),
        repeated_heaviest_tokens=_repeated_tokens(heaviest),
        repeated_evaluation_tokens=sum(map(_repeated_tokens, evaluation)),
        repeated_reference_tokens=_repeated_tokens([reference]),
    )


def plan_of(spec: JobSpec, train: Sequence[Group]) -> Plan:
    """The plan that the method will make of these rows."""
    if METHODS[spec.method].has_pairs:
        return plan_pairs([Pair(*group) for group in train], spec)
    if spec.method == "kto":
        return kto.plan_rows(_judged(train), spec)
    return make_plan(
        [len(example.ids) for (example,) in train],
        [example.trained_tokens for (example,) in train],
        spec.optimizer,
        spec.seed,
        spec.device_count,
    )


def _forwards(spec: JobSpec, rows: Sequence[Group], others: Sequence[Group]) -> list[list[list[Example]]]:
    """Per device step, the batches that go through the model."""
    size = spec.optimizer.batch_size
    steps = [rows[start : start + size] for start in range(0, len(rows), size)]
    batches = [[[example for group in step for example in group]] for step in steps]
    if spec.method == "kto":
        strangers = [one.other for one in kto.mismatched(_judged(rows), size, _judged(others))]
        for number, step in enumerate(batches):
            step.append(strangers[number * size : (number + 1) * size])
    return batches


def _judged(groups: Iterable[Group]) -> list[kto.Judged]:
    return [kto.Judged(group[0], label=True) for group in groups]  # lengths do not depend on the label


def _step_tokens(batches: Iterable[Sequence[Example]]) -> int:
    """Rows × the longest of them, batch by batch."""
    return sum(len(batch) * max(len(example.ids) for example in batch) for batch in batches)


def _repeated_tokens(batches: Iterable[Collection[Example]]) -> int:
    """Of prompts that stand in a batch before, batch by batch."""
    repeated = 0
    for batch in batches:
        once = {example.ids[: example.prompt_tokens] for example in batch}
        repeated += sum(example.prompt_tokens for example in batch) - sum(map(len, once))
    return repeated
