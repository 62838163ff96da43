"""SimPO on a small real model: its loss by hand, what it learns, and a broken run that ends as an unbroken one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from integration.trainer.training.preference_losses import Base
from integration.trainer.training.runs import Run, Runner
from unit.trainer.made import dpo_rows

pytestmark = pytest.mark.model

OPTIMIZER = {"max_steps": 4, "evaluation_interval_steps": 2, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def trained(runner: Runner) -> Run:
    return runner.simpo(optimizer=OPTIMIZER)


def test_the_first_loss_is_of_the_margin_per_token(fp32_runner: Runner, tiny_base: Path) -> None:
    """-log sigmoid(beta * (mean of chosen - mean of rejected) - gamma), and no likelihood term."""
    rows, beta, gamma = dpo_rows(4), 3.0, 1.5
    run = fp32_runner.simpo(
        train=rows, validation=[], optimizer={"max_steps": 1}, params={"beta": beta, "gamma": gamma}
    )
    base = Base(tiny_base)
    margins = [
        base.log_probabilities(row.prompt, row.chosen).mean() - base.log_probabilities(row.prompt, row.rejected).mean()
        for row in rows
    ]
    expected = -(beta * torch.stack(margins) - gamma).sigmoid().log().mean()
    assert run.series("train_loss")[1] == pytest.approx(float(expected), rel=1e-4)


def test_chosen_rises_above_rejected(trained: Run) -> None:
    losses, validation = trained.series("train_loss"), trained.series("validation_loss")
    assert losses[4] < 0.5 * losses[1]
    assert list(validation) == [2, 4]
    assert validation[4] < validation[2]
    assert trained.manifest().method == "simpo"


def test_a_stopped_run_resumes_to_the_same_bits(trained: Run, runner: Runner) -> None:
    stopped = runner.simpo(spec=trained.spec, store=trained.store, stop_at=3)
    assert stopped.again().version == trained.version
    assert stopped.series("train_loss") == trained.series("train_loss")


def test_long_pairs_are_refused_not_cut(runner: Runner) -> None:
    final = runner.simpo(optimizer={"max_length": 40}).events[-1]
    assert final.kind == "failed"
    assert "longer than max_length 40" in final.error["message"]
