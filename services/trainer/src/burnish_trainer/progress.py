"""Follows a training loop: metrics into the job's events, checkpoints sealed and copied, early stop, orderly stop.

Imported by training.py after the backend is prepared, since it imports transformers.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from burnish.errors import BurnishError, PreconditionError
from burnish_trainer.checkpoints import Checkpoints
from burnish_trainer.context import RunContext
from burnish_trainer.events import CheckpointSaved, Metrics
from burnish_trainer.order import Plan

TIMED_STEPS = 10  # the time left is judged by the mean of the last ones


class Progress(TrainerCallback):
    """One run's follower. elapsed_before: seconds that earlier attempts trained."""

    def __init__(self, ctx: RunContext, plan: Plan, checkpoints: Checkpoints, elapsed_before: float) -> None:
        self._ctx = ctx
        self._plan = plan
        self._checkpoints = checkpoints
        self._elapsed_before = elapsed_before
        self._started = self._step_started = self._evaluation_started = time.monotonic()
        self._step_seconds: deque[float] = deque(maxlen=TIMED_STEPS)
        self._evaluation_seconds = 0.0

    @property
    def elapsed_seconds(self) -> float:
        return self._elapsed_before + time.monotonic() - self._started

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._started = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._step_started = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._evaluation_started = time.monotonic()
        self._step_seconds.append(self._evaluation_started - self._step_started)
        if self._ctx.stop.is_set():
            control.should_save = control.should_training_stop = True

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **said: Any) -> None:
        metrics = metrics_of(said["logs"] | {"step": state.global_step}, self._plan)
        if metrics is None:
            return
        self._ctx.events.write(metrics.model_copy(update=self._pace(metrics)))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._evaluation_seconds = time.monotonic() - self._evaluation_started
        if ran_out_of_patience(state.log_history, self._ctx.spec.optimizer.early_stopping_patience):
            control.should_training_stop = True
            self._ctx.say(f"stopped early at step {state.global_step}: the validation loss improves no more")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        step = state.global_step
        checkpoint = self._checkpoints.seal(step, self.elapsed_seconds)
        kept = {step, state.best_global_step or step}
        message = f"checkpoint at step {step}"
        try:
            self._checkpoints.upload(checkpoint)
            self._checkpoints.keep_only(kept)
        except BurnishError as error:
            message += f", on this machine only ({error})"
        self._ctx.events.write(CheckpointSaved(step=step, message=message))

    def _pace(self, metrics: Metrics) -> dict[str, float]:
        """Speed of the last step, and the time left, evaluations included."""
        if metrics.train_loss is None or not self._step_seconds:
            return {}
        left = self._plan.steps - metrics.step
        step_seconds = sum(self._step_seconds) / len(self._step_seconds)
        evaluations = left / self._ctx.spec.optimizer.evaluation_interval_steps
        return {
            "tokens_per_second": self._plan.step_tokens(metrics.step) / max(self._step_seconds[-1], 1e-9),
            "seconds_left": left * step_seconds + evaluations * self._evaluation_seconds,
        }


def metrics_of(entry: Mapping[str, Any], plan: Plan, repeated: bool = False) -> Metrics | None:
    """A record of the training library's log as an event; None for its closing summary.

    PreconditionError where the loss is no number any more: every later step would be lost.
    """
    loss = entry.get("loss", entry.get("eval_loss"))
    if loss is None:
        return None
    step = int(entry["step"])
    if not math.isfinite(loss):
        raise PreconditionError(f"the loss is {loss} at step {step}: train again with a lower learning rate", step=step)
    return Metrics(
        step=step,
        total_steps=plan.steps,
        epoch=plan.epoch(step),
        train_loss=entry.get("loss"),
        validation_loss=entry.get("eval_loss"),
        learning_rate=entry.get("learning_rate"),
        gradient_norm=entry.get("grad_norm"),
        repeated=repeated,
    )


def ran_out_of_patience(log_history: list[dict[str, Any]], patience: int) -> bool:
    """True where the last `patience` evaluations all failed to beat the best one before them."""
    losses: list[float] = [entry["eval_loss"] for entry in log_history if "eval_loss" in entry]
    if not patience or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])
