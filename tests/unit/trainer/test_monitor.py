"""What the training monitor finds in logs as the training library writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from burnish.errors import PreconditionError
from burnish_trainer.worker.loop.monitor import Monitor

EVERY = 5  # steps between evaluations


def log(train: Sequence[float], validation: Sequence[float] = (), norms: Sequence[float] = ()) -> list[dict[str, Any]]:
    """Entries of the training library's log; an evaluation after every EVERY steps."""
    entries: list[dict[str, Any]] = []
    judged = iter(validation)
    for step, loss in enumerate(train, start=1):
        entries.append({"step": step, "loss": loss, "grad_norm": norms[step - 1] if norms else 0.5})
        if step % EVERY == 0 and (value := next(judged, None)) is not None:
            entries.append({"step": step, "eval_loss": value})
    return entries


def falling(steps: int) -> list[float]:
    """With noise of up to a tenth."""
    return [2.0 * 0.9**step * (1.1 if step % 3 == 0 else 0.9) for step in range(steps)]


def found(entries: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    """(code, step at which it came to light)."""
    monitor = Monitor()
    told = [(finding.code, entry["step"]) for entry in entries if (finding := monitor.observe(entry))]
    if last := monitor.conclude():
        told.append((last.code, 0))
    assert [code for code, _ in told] == [finding.code for finding in monitor.findings]
    return told


def test_overfitting_is_told_once_at_the_second_risen_evaluation() -> None:
    assert found(log(falling(30), [1.0, 0.8, 0.9, 1.0, 1.2, 1.4])) == [("overfitting", 20)]


@pytest.mark.parametrize(
    ("what", "train", "validation"),
    [
        ("falls", falling(30), [1.0, 0.8, 0.7, 0.6, 0.5, 0.5]),
        ("rises by less than noise", falling(30), [1.0, 0.8, 0.82, 0.83, 0.83, 0.83]),
        ("rises once and falls again", falling(30), [1.0, 0.8, 0.9, 0.8, 0.9, 0.7]),
        ("rises by a share of next to nothing", falling(30), [0.01, 0.001, 0.002, 0.003, 0.004, 0.005]),
        (
            "rises, and so does the training loss: that is divergence",
            [1 + 0.01 * s for s in range(30)],
            [1.0, 1.2, 1.4],
        ),
    ],
)
def test_it_is_no_overfitting_where_the_validation_loss(what: str, train: list[float], validation: list[float]) -> None:
    assert "overfitting" not in dict(found(log(train, validation)))


def test_a_loss_that_does_not_fall_is_told_at_the_end() -> None:
    assert found(log([1.0, 1.1] * 8)) == [("no-learning", 0)]
    assert found(log([1.0, 1.1] * 3)) == [], "too few steps to tell"
    assert found(log(falling(16))) == []


def test_a_first_step_that_trains_nothing_ends_the_run() -> None:
    with pytest.raises(PreconditionError, match="step 1 trained nothing: its loss and its gradients are 0"):
        Monitor().observe({"step": 1, "loss": 0.0, "grad_norm": 0.0})
    assert found(log([0.0, 0.0], norms=[0.2, 0.2]))[0] == ("loss-zero", 1), "gradients flow: only odd"


def test_a_loss_that_reaches_zero_is_told_once() -> None:
    assert found(log([1.0, 0.5, 0.0, 0.0, 0.0], norms=[1, 1, 0, 0, 0])) == [("loss-zero", 3)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "eval_loss"])
def test_a_loss_that_is_no_number_ends_the_run(name: str, value: float) -> None:
    with pytest.raises(PreconditionError, match="at step 3: train again with a lower learning rate"):
        Monitor().observe({"step": 3, name: value})


def test_exploding_gradients_are_told_after_three_steps() -> None:
    usual = [1.0, 1.5, 0.8] * 4
    assert found(log(falling(16), norms=[*usual, 40, 60, 80, 100])) == [("gradients-exploding", 15)]
    assert found(log(falling(16), norms=[*usual, 40, 60, 1, 100])) == [], "single peaks are clipped and pass"
    assert found(log(falling(16), norms=[*([0.01] * 12), 1, 1, 1, 1])) == [], "small all the same"
