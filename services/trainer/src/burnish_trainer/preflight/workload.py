"""What a job's batch schedule makes a device do, counted on its rows' real token counts, by the schedule that the worker will follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import METHODS
from burnish_trainer.data.batches import schedule_rows
from burnish_trainer.data.mismatch import mismatched
from burnish_trainer.data.tokens import EncodedRow, Example
from burnish_trainer.preflight.types import Workload


def count(
    spec: JobSpec, train: Sequence[EncodedRow], validation: Sequence[EncodedRow], reference_stored: bool = False
) -> Workload:
    """The Workload of a job. train must not be empty; reference_stored: its reference pass is in the object store already.

    Chosen and rejected go through the model as one batch. A KTO row goes through it with its own answer and, forward
    only, with another row's; both count.
    """
    schedule = schedule_rows(train, spec)
    steps = _forwards(spec, [train[row] for row in schedule.order], train)
    evaluation = _forwards(spec, validation, train)
    sequences = {example for step in [*steps, *evaluation] for batch in step for example in batch}
    reference = sequences if METHODS[spec.method].uses_reference and not reference_stored else set()
    heaviest = max(steps, key=_step_tokens)
    return Workload(
        steps=schedule.steps,
        rows=len(train),
        padded_tokens=sum(map(_step_tokens, steps)),
        trained_tokens=schedule.trained_until(schedule.steps),
        heaviest_step_tokens=_step_tokens(heaviest),
        longest_row_tokens=max(len(example.ids) for example in sequences),
        evaluations=schedule.steps // spec.optimizer.evaluation_interval_steps if validation else 0,
        evaluation_tokens=sum(map(_step_tokens, evaluation)),
        evaluation_heaviest_tokens=max(map(_step_tokens, evaluation), default=0),
        reference_tokens=sum(len(example.ids) for example in reference),
        repeated_tokens=sum(map(_repeated_tokens, steps)),
        repeated_heaviest_tokens=_repeated_tokens(heaviest),
        repeated_evaluation_tokens=sum(map(_repeated_tokens, evaluation)),
        repeated_reference_tokens=_repeated_tokens([reference]),
    )


def _forwards(spec: JobSpec, rows: Sequence[EncodedRow], others: Sequence[EncodedRow]) -> list[list[list[Example]]]:
    """Per device step, the batches that go through the model."""
    size = spec.optimizer.batch_size
    steps = [rows[start : start + size] for start in range(0, len(rows), size)]
    batches = [[[example for row in step for example in row.examples]] for step in steps]
    if spec.method == "kto":
        strangers = mismatched(rows, size, others)
        for number, step in enumerate(batches):
            step.append(strangers[number * size : (number + 1) * size])
    return batches


def _step_tokens(batches: Iterable[Sequence[Example]]) -> int:
    """Rows × the longest of them, batch by batch."""
    return sum(len(batch) * max(len(example.ids) for example in batch) for batch in batches)


def _repeated_tokens(batches: Iterable[Collection[Example]]) -> int:
    """Tokens of prompts that another row of the batch has too, batch by batch."""
    repeated = 0
    for batch in batches:
        once = {example.ids[: example.prompt_tokens] for example in batch}
        repeated += sum(example.prompt_tokens for example in batch) - sum(map(len, once))
    return repeated
