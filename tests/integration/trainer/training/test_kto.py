"""KTO on a small real model: its loss by hand, whom it compares with, and a broken run that ends as an unbroken one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from integration.trainer.training.preference_losses import Base
from integration.trainer.training.runs import Run, Runner
from pydantic import ValidationError
from unit.trainer.made import job_spec, kto_rows, user

from burnish.schemas.base import VersionRef
from burnish.schemas.dataset import KtoRow
from burnish_trainer.data.tokens import Example
from burnish_trainer.executors.events import Note
from burnish_trainer.worker.methods.kto import Judged, mismatched, plan_rows

OPTIMIZER = {"max_steps": 4, "evaluation_interval_steps": 2, "learning_rate": 1e-2, "warmup_share": 0.2}


@pytest.fixture(scope="module")
def trained(module_runner: Runner) -> Run:
    return module_runner.kto(optimizer=OPTIMIZER)


@pytest.mark.model
def test_first_loss_is_one_half_and_then_falls(trained: Run) -> None:
    """Before the first update gain and divergence are 0: every row's loss is 1 - sigmoid(0), whatever the precision."""
    losses = trained.series("train_loss")
    assert losses[1] == pytest.approx(0.5, abs=1e-5)
    assert losses[4] < 0.95 * losses[1]
    assert trained.series("validation_loss")[4] < 0.45
    assert trained.manifest().method == "kto"


@pytest.mark.model
def test_weights_are_of_their_kind(module_runner: Runner) -> None:
    """Three up, one down in the first step: the mean of 3 × 2 × ½ and 1 × 4 × ½."""
    rows = [*kto_rows(6)[::2], kto_rows(2)[1]]
    run = module_runner.kto(
        train=rows,
        validation=[],
        optimizer={"max_steps": 1},
        params={"desirable_weight": 2.0, "undesirable_weight": 4.0},
    )
    assert run.series("train_loss")[1] == pytest.approx((3 * 2 + 4) / 2 / 4, abs=1e-5)


@pytest.mark.model
def test_the_loss_of_a_moved_policy_is_the_paper_s(fp32_runner: Runner, tiny_base: Path) -> None:
    """Equation 7 by hand on the validation rows, under the trained adapter, with each row's mismatched answer."""
    from peft import PeftModel

    from burnish_trainer.artifacts import adapters

    held = [
        row.model_copy(update={"prompt": user(f"Say {number}?"), "label": number % 2 == 0})
        for number, row in enumerate(
            kto_rows(8)[::2]
        )  # answers like the wanted ones, so that the divergence is above 0
    ]
    run = fp32_runner.kto(
        validation=held, optimizer={"max_steps": 3, "evaluation_interval_steps": 3, "learning_rate": 1e-2}
    )
    base, policy = Base(tiny_base), Base(tiny_base)
    ref = VersionRef(name=run.spec.adapter_name, version=run.version)
    policy.model = PeftModel.from_pretrained(policy.model, str(adapters.fetch(run.store, ref, fp32_runner.folders())))

    def gain(row: KtoRow, answer: KtoRow) -> float:
        sides = (side.log_probabilities(row.prompt, answer.completion).sum() for side in (policy, base))
        moved, started = sides
        return float(moved - started)

    divergence = max(0.0, sum(gain(row, held[number - 1]) for number, row in enumerate(held)) / 4)
    losses = []
    for row in held:
        advantage = gain(row, row) - divergence if row.label else divergence - gain(row, row)
        losses.append(1 - 1 / (1 + math.exp(-0.1 * advantage)))
    assert divergence > 0, "else the test says nothing of it"
    assert run.series("validation_loss")[3] == pytest.approx(sum(losses) / 4, rel=1e-4)


@pytest.mark.model
def test_a_stopped_run_resumes_to_the_same_bits_without_another_pass(trained: Run, module_runner: Runner) -> None:
    stopped = module_runner.kto(spec=trained.spec, store=trained.store, stop_at=3)
    assert stopped.again().version == trained.version
    assert stopped.series("train_loss") == trained.series("train_loss")
    said = [event.message for event in stopped.events if isinstance(event, Note) and "reference" in event.message]
    assert len(said) == 2
    assert all("no pass needed" in message for message in said)


def judged(prompt: int, answer: int, label: bool = True) -> Judged:
    return Judged(
        Example(question_id=f"{prompt}/{answer}", ids=(prompt, prompt, 90, answer, 2), prompt_tokens=3), label
    )


def test_a_batch_is_mismatched_within_itself_and_with_other_prompts_where_it_can_be() -> None:
    """Two rows of one question side by side: a rotation by one would compare a prompt with its own other answer."""
    rows = [judged(1, 11), judged(1, 12), judged(2, 21), judged(2, 22)]
    pairs = mismatched(rows, 4, rows)
    assert [pair.other.ids[3] for pair in pairs] == [21, 22, 11, 12]
    assert [pair.other.ids[:3] for pair in pairs] == [pair.row.prompt for pair in pairs]


def test_a_last_row_alone_is_mismatched_with_a_stranger() -> None:
    rows = [judged(1, 11), judged(2, 21), judged(3, 31)]
    assert [pair.other.ids[3] for pair in mismatched(rows, 2, rows)] == [21, 11, 11]
    assert [pair.other.ids[3] for pair in mismatched(rows[:1], 2, rows[:1])] == [11]


def test_answers_of_unlike_length_meet() -> None:
    """Wanted answers short, unwanted ones long: steps by whole length would each be of one kind."""
    rows = [judged(prompt, prompt, label=bool(prompt % 2)) for prompt in range(1, 33)]
    long = [
        row if row.label else Judged(row.example.model_copy(update={"ids": row.example.ids + (7,) * 50}), False)
        for row in rows
    ]
    spec = job_spec(VersionRef(name="d", version="0" * 16), "kto", optimizer={"batch_size": 8, "max_steps": 4})
    plan = plan_rows(long, spec)
    steps = [plan.order[start : start + 8] for start in range(0, 32, 8)]
    assert all(0 < sum(long[row].label for row in step) < 8 for step in steps)
    assert plan.row_tokens[1] == 2 * 55


def test_one_row_a_batch_is_refused() -> None:
    with pytest.raises(ValidationError, match="batch_size of at least 2"):
        job_spec(VersionRef(name="d", version="0" * 16), "kto", optimizer={"batch_size": 1})


@pytest.mark.model
def test_long_rows_are_refused_not_cut(module_runner: Runner) -> None:
    final = module_runner.kto(optimizer={"max_length": 30}).events[-1]
    assert final.kind == "failed"
    assert "longer than max_length 30" in final.error["message"]
