"""KTO on a small real model: its loss by hand, and a broken run that ends as an unbroken one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from integration.trainer.training.preference_losses import Base
from integration.trainer.training.runs import Run, Runner
from unit.trainer.made import kto_rows, user

from burnish.schemas.base import VersionRef
from burnish.schemas.dataset import KtoRow
from burnish_trainer.executors.events import Note

pytestmark = pytest.mark.model

OPTIMIZER = {"max_steps": 4, "evaluation_interval_steps": 2, "learning_rate": 1e-2, "warmup_share": 0.2}


@pytest.fixture(scope="module")
def trained(runner: Runner) -> Run:
    return runner.kto(optimizer=OPTIMIZER)


def test_first_loss_is_one_half_and_then_falls(trained: Run) -> None:
    """Before the first update gain and divergence are 0: every row's loss is 1 - sigmoid(0), whatever the precision."""
    losses = trained.series("train_loss")
    assert losses[1] == pytest.approx(0.5, abs=1e-5)
    assert losses[4] < 0.95 * losses[1]
    assert trained.series("validation_loss")[4] < 0.45
    assert trained.manifest().method == "kto"


def test_weights_are_of_their_kind(runner: Runner) -> None:
    """Three up, one down in the first step: the mean of 3 × 2 × ½ and 1 × 4 × ½."""
    rows = [*kto_rows(6)[::2], kto_rows(2)[1]]
    run = runner.kto(
        train=rows,
        validation=[],
        optimizer={"max_steps": 1},
        params={"desirable_weight": 2.0, "undesirable_weight": 4.0},
    )
    assert run.series("train_loss")[1] == pytest.approx((3 * 2 + 4) / 2 / 4, abs=1e-5)


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


def test_a_stopped_run_resumes_to_the_same_bits_without_another_pass(trained: Run, runner: Runner) -> None:
    stopped = runner.kto(spec=trained.spec, store=trained.store, stop_at=3)
    assert stopped.again().version == trained.version
    assert stopped.series("train_loss") == trained.series("train_loss")
    said = [event.message for event in stopped.events if isinstance(event, Note) and "reference" in event.message]
    assert len(said) == 2
    assert all("no pass needed" in message for message in said)


def test_long_rows_are_refused_not_cut(runner: Runner) -> None:
    final = runner.kto(optimizer={"max_length": 30}).events[-1]
    assert final.kind == "failed"
    assert "longer than max_length 30" in final.error["message"]
