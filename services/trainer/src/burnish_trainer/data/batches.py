"""The batch schedule: which rows meet in which step. Decided before training, so that a resumed run sees exactly what it would have seen."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from burnish.schemas.training.hyperparameters import OptimizerSpec, total_steps
from burnish.schemas.training.job import JobSpec
from burnish_trainer.data.tokens import EncodedRow

POOL_STEPS = 50  # steps whose rows are ranked by length together: little padding, and still a random order of steps


@dataclass(frozen=True)
class BatchSchedule:
    """order[i]: the row trained on i-th, steps × rows_per_step of them; steps follow each other in it.

    row_tokens: tokens of each row as processed; trained_tokens: those that carry loss.
    """

    order: tuple[int, ...]
    steps: int
    rows_per_step: int
    row_tokens: tuple[int, ...]
    trained_tokens: tuple[int, ...]

    def epoch(self, step: int) -> float:
        """Passes over the rows after that many steps."""
        return step * self.rows_per_step / len(self.row_tokens)

    def step_tokens(self, step: int) -> int:
        """Tokens processed in step 1, 2, …"""
        return sum(
            self.row_tokens[row] for row in self.order[(step - 1) * self.rows_per_step : step * self.rows_per_step]
        )

    def trained_until(self, step: int) -> int:
        """Tokens that carried loss in the first `step` steps."""
        return sum(self.trained_tokens[row] for row in self.order[: step * self.rows_per_step])


def schedule_rows(rows: Sequence[EncodedRow], spec: JobSpec) -> BatchSchedule:
    """The schedule of a job's training rows; a pair counts as the tokens of both its sequences.

    KTO's rows meet by the length of their prompt: by that of the whole row, steps would be all wanted or all unwanted
    answers. There a row is read with its own answer and with another's, and counts twice.
    """
    by_prompt = spec.method == "kto"
    schedule = make_schedule(
        [len(row.prompt) if by_prompt else row.tokens for row in rows],
        [row.trained_tokens for row in rows],
        spec.optimizer,
        spec.seed,
        spec.device_count,
        [row.source for row in rows],
    )
    return replace(schedule, row_tokens=tuple(2 * row.tokens for row in rows)) if by_prompt else schedule


def make_schedule(
    row_tokens: Sequence[int],
    trained_tokens: Sequence[int],
    optimizer: OptimizerSpec,
    seed: int,
    devices: int = 1,
    sources: Sequence[str] = (),
) -> BatchSchedule:
    """Whole passes, each shuffled by (seed, pass), cut into full steps of rows of like length from every source.

    sources: of each row; none: all are of one. Each step has of every source the same share, as far as whole rows allow: in
    a step of corrections alone nothing would hold back what replay rows are there to hold.

    Every step is full: the rows that a pass has left over begin the next one. Each of several devices takes one batch
    after the other from a step's rows. The same input gives the same schedule.
    """
    rows_per_step = optimizer.rows_per_step * devices
    steps = total_steps(len(row_tokens), optimizer.epochs, optimizer.max_steps, rows_per_step)
    sources = sources or [""] * len(row_tokens)
    order: list[int] = []
    rows: list[int] = []
    for number in count():
        if len(order) >= steps * rows_per_step:
            break
        random_ = random.Random(f"{seed}/{number}")
        rows += random_.sample(range(len(row_tokens)), len(row_tokens))
        if full := len(rows) // rows_per_step * rows_per_step:
            order += _in_steps(rows[:full], row_tokens, sources, rows_per_step, random_)
            rows = rows[full:]
    return BatchSchedule(
        tuple(order[: steps * rows_per_step]), steps, rows_per_step, tuple(row_tokens), tuple(trained_tokens)
    )


def _in_steps(
    rows: list[int], lengths: Sequence[int], sources: Sequence[str], rows_per_step: int, random_: random.Random
) -> list[int]:
    """One pass in steps. Pools keep it random which rows meet; the steps of a pool come in random order."""
    order: list[int] = []
    for start in range(0, len(rows), POOL_STEPS * rows_per_step):
        ranked = _ranked(rows[start : start + POOL_STEPS * rows_per_step], lengths, sources)
        steps = [ranked[first : first + rows_per_step] for first in range(0, len(ranked), rows_per_step)]
        random_.shuffle(steps)
        order += [row for step in steps for row in step]
    return order


def _ranked(rows: Sequence[int], lengths: Sequence[int], sources: Sequence[str]) -> list[int]:
    """By the rank of their length among the rows of their source: any run of neighbours holds the sources in their shares."""
    by_source: dict[str, list[int]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: lengths[row]):
        by_source[sources[row]].append(row)
    places = [((rank + 0.5) / len(same), row) for same in by_source.values() for rank, row in enumerate(same)]
    return [row for _, row in sorted(places)]
