"""What every method's run shares: the loop's arguments, resuming, and the result. Imports transformers: see progress.py."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PrinterCallback, Trainer

from burnish.schemas.adapter import TrainingSummary
from burnish_trainer.checkpoints import Checkpoint
from burnish_trainer.context import Outcome, RunContext, StopRequested
from burnish_trainer.order import Plan
from burnish_trainer.progress import Progress, metrics_of, ran_out_of_patience


def loop_arguments(ctx: RunContext, plan: Plan, has_validation: bool) -> dict[str, Any]:
    """Arguments of transformers.TrainingArguments that do not depend on the method."""
    optimizer = ctx.spec.optimizer
    on_cuda = ctx.device == "cuda"
    return {
        "output_dir": str(ctx.checkpoints.folder),
        "max_steps": plan.steps,
        "train_sampling_strategy": "sequential",  # the plan has decided the order
        "per_device_train_batch_size": optimizer.batch_size,
        "per_device_eval_batch_size": optimizer.batch_size,
        "gradient_accumulation_steps": optimizer.gradient_accumulation_steps,
        "learning_rate": optimizer.learning_rate,
        "warmup_steps": optimizer.warmup_share,
        "lr_scheduler_type": "linear",
        "eval_strategy": "steps" if has_validation else "no",
        "eval_steps": optimizer.evaluation_interval_steps,
        "metric_for_best_model": "eval_loss" if has_validation else None,
        "greater_is_better": False,
        "save_strategy": "steps",
        "save_steps": optimizer.evaluation_interval_steps,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": ctx.spec.seed,
        "use_cpu": not on_cuda,
        "bf16": ctx.dtype == "bfloat16",
        "fp16": ctx.dtype == "float16",
        "gradient_checkpointing": on_cuda,  # on a CPU memory is plenty and the second forward costs half as much again
        "dataloader_pin_memory": on_cuda,
    }


@contextmanager
def loop_precision(model: torch.nn.Module, ctx: RunContext) -> Iterator[None]:
    """Forward passes as the loop runs them: mixed precision, log-probabilities taken from fp32 logits.

    TRL 1.14.2 computes the reference's log-probabilities before the loop has set that up: from bf16 logits they are off
    by tenths, and the first loss is not ln 2. Can go once test_dpo.py's first loss is right without it.
    """
    hook = model.register_forward_hook(_with_fp32_logits)
    try:
        with torch.autocast(ctx.device, dtype=getattr(torch, ctx.dtype), enabled=ctx.dtype != "float32"):
            yield
    finally:
        hook.remove()


def _with_fp32_logits(_model: torch.nn.Module, _inputs: Any, outputs: Any) -> Any:
    outputs.logits = outputs.logits.float()
    return outputs


def train(trainer: Trainer, plan: Plan, ctx: RunContext) -> Outcome:
    """Run the loop to its end, from the last complete checkpoint where there is one. StopRequested where it was asked to stop."""
    _train_adapter_in_fp32(trainer.model)
    checkpoints = ctx.checkpoints
    resumed = checkpoints.latest()
    progress = Progress(ctx, plan, checkpoints, resumed.manifest.elapsed_seconds if resumed else 0.0)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(progress)
    if resumed:
        _say_resumed(ctx, plan, resumed)
    if resumed and _ended(resumed.state(), plan, ctx):
        state, seconds = resumed.state(), resumed.manifest.elapsed_seconds
    else:
        trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        state, seconds = vars(trainer.state), progress.elapsed_seconds
        if not _ended(state, plan, ctx):
            raise StopRequested(state["global_step"])
    best = state.get("best_global_step") or state["global_step"]
    kept = checkpoints.obtain(best)
    if kept is None:
        raise RuntimeError(f"the checkpoint of step {best} has gone")
    return Outcome(kept.folder, _summary(state, plan, seconds))


def _train_adapter_in_fp32(model: Any) -> None:
    """TRL turns a 4-bit model's LoRA weights into bf16, in which an update of 1e-4 of a weight is lost to rounding."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _say_resumed(ctx: RunContext, plan: Plan, checkpoint: Checkpoint) -> None:
    """Tell the steps before the checkpoint again, for the case that their telling was lost with a machine."""
    for entry in checkpoint.state()["log_history"]:
        if (metrics := metrics_of(entry, plan, repeated=True)) is not None:
            ctx.events.write(metrics)
    ctx.say(f"resumed from step {checkpoint.step}")


def _ended(state: dict[str, Any], plan: Plan, ctx: RunContext) -> bool:
    return state["global_step"] >= plan.steps or ran_out_of_patience(
        state["log_history"], ctx.spec.optimizer.early_stopping_patience
    )


def _summary(state: dict[str, Any], plan: Plan, seconds: float) -> TrainingSummary:
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    steps = state["global_step"]
    return TrainingSummary(
        steps=steps,
        best_step=state.get("best_global_step") or steps,
        first_train_loss=losses[0] if losses else None,
        final_train_loss=losses[-1] if losses else None,
        best_validation_loss=state.get("best_metric"),
        trained_tokens=plan.trained_until(steps),
        duration_seconds=round(seconds, 3),
        peak_memory_bytes=_peak_memory_bytes(),
        stopped_early=steps < plan.steps,
    )


def _peak_memory_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
