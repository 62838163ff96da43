"""ORPO on a small real model: its loss by hand, what it learns, and a broken run that ends as an unbroken one."""

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
    return runner.orpo(optimizer=OPTIMIZER)


def test_the_first_loss_is_likelihood_minus_log_odds(fp32_runner: Runner, tiny_base: Path) -> None:
    """NLL per token of the chosen completions - beta * log sigmoid(log odds ratio); the prompt carries none of it."""
    rows, beta = dpo_rows(4), 2.0
    run = fp32_runner.orpo(train=rows, validation=[], optimizer={"max_steps": 1}, params={"beta": beta})
    base = Base(tiny_base)
    chosen, rejected = (
        [base.log_probabilities(row.prompt, end) for row, end in zip(rows, ends, strict=True)]
        for ends in ([row.chosen for row in rows], [row.rejected for row in rows])
    )
    likelihood = -torch.cat(chosen).mean()

    def log_odds(tokens: torch.Tensor) -> torch.Tensor:
        mean = tokens.double().mean()
        return mean - torch.log1p(-mean.exp())

    ratios = [log_odds(good) - log_odds(bad) for good, bad in zip(chosen, rejected, strict=True)]
    expected = likelihood - beta * torch.stack(ratios).sigmoid().log().mean()
    assert run.series("train_loss")[1] == pytest.approx(float(expected), rel=1e-4)


def test_it_learns_the_answer_and_the_preference(trained: Run) -> None:
    losses, validation = trained.series("train_loss"), trained.series("validation_loss")
    assert losses[4] < 0.95 * losses[1]
    assert list(validation) == [2, 4]
    assert validation[4] < validation[2]
    assert trained.manifest().method == "orpo"


def test_a_stopped_run_resumes_to_the_same_bits(trained: Run, runner: Runner) -> None:
    stopped = runner.orpo(spec=trained.spec, store=trained.store, stop_at=3)
    assert stopped.again().version == trained.version
    assert stopped.series("train_loss") == trained.series("train_loss")


def test_long_pairs_are_refused_not_cut(runner: Runner) -> None:
    final = runner.orpo(optimizer={"max_length": 40}).events[-1]
    assert final.kind == "failed"
    assert "longer than max_length 40" in final.error["message"]
