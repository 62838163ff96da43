"""The order of rows: every pass whole, little padding, and the same again from the same seed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from burnish.schemas.training.hyperparameters import OptimizerSpec, total_steps
from burnish_trainer.data.batches import BatchSchedule, make_schedule

LENGTHS = random.Random(1).choices(range(20, 400), k=100)


def plan(lengths: list[int] = LENGTHS, seed: int = 0, **optimizer: float) -> BatchSchedule:
    fields = {"learning_rate": 1e-4, "evaluation_interval_steps": 1, **optimizer}
    return make_schedule(lengths, [1] * len(lengths), OptimizerSpec.model_validate(fields), seed)


def padding_share(made: BatchSchedule) -> float:
    steps = [made.order[start : start + made.rows_per_step] for start in range(0, len(made.order), made.rows_per_step)]
    padded = sum(max(LENGTHS[row] for row in step) * len(step) for step in steps)
    return 1 - sum(LENGTHS[row] for row in made.order) / padded


def test_every_row_is_seen_once_a_pass() -> None:
    """Pass by pass: a row and its repetition never meet in one step, though they are of one length."""
    made = plan(epochs=3, batch_size=10)
    assert made.steps == 30
    for start in range(0, 300, 100):
        assert sorted(made.order[start : start + 100]) == list(range(100))


def test_steps_are_full_even_where_passes_do_not_divide() -> None:
    made = plan([5] * 7, epochs=2, batch_size=4)
    assert (made.steps, len(made.order)) == (4, 16)
    assert set(Counter(made.order)) == set(range(7))


def test_fewer_rows_than_a_step_are_repeated() -> None:
    assert plan([5, 6], max_steps=3, batch_size=8).order.count(0) == 12


def test_the_seed_decides() -> None:
    assert plan(seed=1, epochs=2).order == plan(seed=1, epochs=2).order
    assert plan(seed=1, epochs=2).order != plan(seed=2, epochs=2).order


def test_steps_hold_rows_of_like_length_in_random_order() -> None:
    made = plan(epochs=2, batch_size=8)
    random_order = replace(made, order=tuple(random.Random(2).sample(made.order, len(made.order))))
    assert padding_share(made) < 0.15 < padding_share(random_order)
    longest = [max(LENGTHS[row] for row in made.order[start : start + 8]) for start in range(0, 200, 8)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_each_step_holds_every_source_in_its_share() -> None:
    """By length alone, steps would be all corrections or all replay rows where the two differ in length."""
    sources = ["anchor"] * 40 + ["correction"] * 60
    lengths = [*range(80, 120), *range(110, 170)]
    made = make_schedule(
        lengths,
        lengths,
        OptimizerSpec.model_validate({"learning_rate": 1e-4, "evaluation_interval_steps": 1, "batch_size": 10}),
        seed=0,
        sources=sources,
    )
    steps = [made.order[start : start + 10] for start in range(0, len(made.order), 10)]
    assert {sum(sources[row] == "anchor" for row in step) for step in steps} == {4}
    for name in ("anchor", "correction"):
        spreads = [max(own) - min(own) for step in steps if (own := [lengths[r] for r in step if sources[r] == name])]
        assert max(spreads) <= 6


def test_tokens_and_epochs_are_counted_by_step() -> None:
    made = plan(epochs=1, batch_size=25)
    assert sum(made.step_tokens(step) for step in range(1, 5)) == sum(LENGTHS)
    assert (made.epoch(2), made.trained_until(2)) == (0.5, 50)


def test_total_steps() -> None:
    assert total_steps(rows=60, epochs=3, max_steps=0, rows_per_step=8) == 23
    assert total_steps(rows=60, epochs=3, max_steps=5, rows_per_step=8) == 5
    assert total_steps(rows=1, epochs=0.1, max_steps=0, rows_per_step=8) == 1


def seconds_of(work: Callable[[], object]) -> float:
    """Of this process's own time, so that what else runs does not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_step_of_many_more_rows_than_there_are_takes_time_in_proportion() -> None:
    small, large = (
        seconds_of(partial(plan, [5, 6], max_steps=1, batch_size=1024, gradient_accumulation_steps=steps))
        for steps in (64, 256)
    )
    assert large < 8 * small, "four times the rows"
