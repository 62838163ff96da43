"""Follows a training loop: metrics and findings into the job's events, checkpoints sealed and copied, early stop, orderly stop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from burnish.errors import BurnishError
from burnish.schemas.adapter import TrainingSummary
from burnish.schemas.training.tuning import Finding
from burnish_trainer.artifacts.checkpoints import Checkpoint, CheckpointMetrics, Checkpoints
from burnish_trainer.data.batches import BatchSchedule
from burnish_trainer.executors.events import CheckpointSaved, Found, Metrics
from burnish_trainer.worker import torch_device
from burnish_trainer.worker.context import RunContext
from burnish_trainer.worker.loop.monitor import Monitor, check_loss

TIMED_STEPS = 10  # the time left is judged by the mean of the last ones


class Progress(TrainerCallback):
    """The callback that follows one run. resumed: the checkpoint that it goes on from."""

    def __init__(
        self, ctx: RunContext, schedule: BatchSchedule, checkpoints: Checkpoints, resumed: Checkpoint | None
    ) -> None:
        self._ctx = ctx
        self._schedule = schedule
        self._checkpoints = checkpoints
        self._monitor = Monitor()
        before = resumed.manifest if resumed else None
        self._elapsed_before = (before.elapsed_seconds if before else 0.0) + ctx.clock.seconds("reference")
        self._peak_before = (before.training.peak_memory_bytes or 0) if before else 0
        self._started = self._step_started = self._evaluation_started = time.monotonic()
        self._step_seconds: deque[float] = deque(maxlen=TIMED_STEPS)
        self._evaluation_seconds = 0.0
        if resumed:
            self._repeat(resumed)

    @property
    def elapsed_seconds(self) -> float:
        """Over all attempts, the reference pass included; saved with each checkpoint."""
        return self._elapsed_before + time.monotonic() - self._started

    @property
    def peak_memory_bytes(self) -> int:
        """Over all attempts."""
        return max(self._peak_before, torch_device.peak_memory_bytes(self._ctx.device))

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._monitor.findings)

    def conclude(self) -> None:
        """The run has ended: report what only its whole length shows."""
        self._report(self._monitor.conclude())

    def _repeat(self, resumed: Checkpoint) -> None:
        """Write the events of the steps before the checkpoint again, in case they were lost with another machine."""
        for entry in resumed.state()["log_history"]:
            if (metrics := metrics_of(entry, self._schedule, repeated=True)) is not None:
                self._ctx.events.write(metrics)
            self._report(self._monitor.observe(entry))
        self._ctx.say(f"resumed from step {resumed.step}")

    def _report(self, finding: Finding | None) -> None:
        if finding is not None:
            self._ctx.events.write(Found(finding=finding))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._started = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._step_started = time.monotonic()
        self._ctx.clock.step_begins()

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._ctx.clock.progress("training")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._ctx.clock.progress("evaluating")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._ctx.clock.progress("training")
        self._evaluation_started = time.monotonic()
        self._step_seconds.append(self._evaluation_started - self._step_started)
        if self._asked_to_stop():
            control.should_save = control.should_training_stop = True

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **values: Any) -> None:
        entry = values["logs"] | {"step": state.global_step}
        metrics = metrics_of(entry, self._schedule)
        if metrics is None:
            return
        self._ctx.events.write(metrics.model_copy(update=self._pace(metrics)))
        self._report(self._monitor.observe(entry))

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._evaluation_seconds = time.monotonic() - self._evaluation_started
        self._ctx.tracing.record("evaluate", self._evaluation_seconds, step=state.global_step)
        if ran_out_of_patience(state.log_history, self._ctx.spec.optimizer.early_stopping_patience):
            control.should_training_stop = True
            self._ctx.say(f"stopped early at step {state.global_step}: the validation loss improves no more")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._ctx.clock.progress("saving")
        PartialState().wait_for_everyone()  # each process has written its random state
        if not self._ctx.is_main:
            return
        with self._ctx.tracing.span("checkpoint", step=state.global_step):
            self._keep(state)
        self._ctx.clock.progress("training")

    def _keep(self, state: TrainerState) -> None:
        """Seal what the training library has just written, and copy it."""
        step = state.global_step
        checkpoint = self._checkpoints.seal(self._metrics_at(state), self._ctx.record)
        kept = {step, state.best_global_step or step}
        message = f"checkpoint at step {step}"
        try:
            self._checkpoints.upload(checkpoint)
            self._checkpoints.retain(kept)
        except BurnishError as error:
            message += f", on this machine only ({error})"
        self._ctx.events.write(CheckpointSaved(step=step, message=message))

    def _asked_to_stop(self) -> bool:
        """The same answer in every process of the run: a signal reaches them at different steps."""
        asked = self._ctx.stop.is_set()
        if self._ctx.processes == 1:
            return asked
        votes = torch.tensor([int(asked)], device=PartialState().device)
        torch.distributed.all_reduce(votes)
        return bool(votes.item())

    def _metrics_at(self, state: TrainerState) -> CheckpointMetrics:
        step, history = state.global_step, state.log_history
        judged = [entry["eval_loss"] for entry in history if "eval_loss" in entry and entry["step"] == step]
        return CheckpointMetrics(
            step=step,
            epoch=self._schedule.epoch(step),
            validation_loss=judged[-1] if judged else None,
            elapsed_seconds=self.elapsed_seconds,
            training=summary(vars(state), self._schedule, self.elapsed_seconds, self.peak_memory_bytes),
        )

    def _pace(self, metrics: Metrics) -> dict[str, float]:
        """What the last step took, its speed, and the time left, evaluations included."""
        if metrics.train_loss is None or not self._step_seconds:
            return {}
        left, tokens = self._schedule.steps - metrics.step, self._schedule.step_tokens(metrics.step)
        step_seconds = sum(self._step_seconds) / len(self._step_seconds)
        evaluations = left / self._ctx.spec.optimizer.evaluation_interval_steps
        return {
            "tokens": tokens,
            "step_seconds": self._step_seconds[-1],
            "tokens_per_second": tokens / max(self._step_seconds[-1], 1e-9),
            "seconds_left": left * step_seconds + evaluations * self._evaluation_seconds,
        }


def metrics_of(entry: Mapping[str, Any], schedule: BatchSchedule, repeated: bool = False) -> Metrics | None:
    """A record of the training library's log as an event; None for its closing summary.

    PreconditionError if the loss is no number any more: every later step would be lost.
    """
    loss = entry.get("loss", entry.get("eval_loss"))
    if loss is None:
        return None
    step = int(entry["step"])
    check_loss(loss, step)
    return Metrics(
        step=step,
        total_steps=schedule.steps,
        epoch=schedule.epoch(step),
        train_loss=entry.get("loss"),
        validation_loss=entry.get("eval_loss"),
        learning_rate=entry.get("learning_rate"),
        gradient_norm=entry.get("grad_norm"),
        repeated=repeated,
    )


def ran_out_of_patience(log_history: list[dict[str, Any]], patience: int) -> bool:
    """True if the last `patience` evaluations all failed to beat the best one before them."""
    losses: list[float] = [entry["eval_loss"] for entry in log_history if "eval_loss" in entry]
    if not patience or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])


def summary(state: dict[str, Any], schedule: BatchSchedule, seconds: float, peak_memory_bytes: int) -> TrainingSummary:
    """How a run went until `state`, the training library's record of it; seconds: that it trained."""
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    steps = state["global_step"]
    return TrainingSummary(
        steps=steps,
        best_step=state.get("best_global_step") or steps,
        first_train_loss=losses[0] if losses else None,
        final_train_loss=losses[-1] if losses else None,
        best_validation_loss=state.get("best_metric"),
        trained_tokens=schedule.trained_until(steps),
        duration_seconds=round(seconds, 3),
        peak_memory_bytes=peak_memory_bytes,
        stopped_early=steps < schedule.steps,
    )
