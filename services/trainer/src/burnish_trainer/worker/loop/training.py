"""What every method's run shares: features, the loop's arguments, resuming, and the result. Called by methods/."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from transformers import PrinterCallback, Trainer

from burnish.errors import InternalError, PreconditionError
from burnish.machine import disk
from burnish.schemas.training.tuning import RunEstimate, RunMeasurement
from burnish_trainer.artifacts import MORE_ROOM
from burnish_trainer.artifacts.checkpoints import Checkpoints
from burnish_trainer.data.batches import BatchSchedule
from burnish_trainer.data.tokens import EncodedRow
from burnish_trainer.worker.context import Outcome, RunContext, StopRequested, TrainingRows
from burnish_trainer.worker.loop.progress import Progress, ran_out_of_patience, summary
from burnish_trainer.worker.loop.trackers import reporting

CHECKPOINT_COPIES = 3  # of the trained weights: themselves, and AdamW's two moments


def result_arguments(ctx: RunContext) -> dict[str, Any]:
    """Those of transformers.TrainingArguments that decide what is learnt, and in how much memory.

    All are stated, since Unsloth gives the classes other defaults (2026.10.9: adamw_8bit, weight decay 0.001, padding-free rows).
    """
    optimizer = ctx.spec.optimizer
    return {
        "optim": "adamw_torch_fused",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "learning_rate": optimizer.learning_rate,
        "warmup_steps": optimizer.warmup_share,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": optimizer.batch_size,
        "gradient_accumulation_steps": optimizer.gradient_accumulation_steps,
        "seed": ctx.spec.seed,
        "bf16": ctx.dtype == "bfloat16",
        "fp16": ctx.dtype == "float16",
        "gradient_checkpointing": ctx.device
        == "cuda",  # on a CPU memory is plenty and the second forward costs half as much again
    }


def loop_arguments(ctx: RunContext, rows: TrainingRows) -> dict[str, Any]:
    """Arguments of transformers.TrainingArguments that do not depend on the method."""
    optimizer, has_validation = ctx.spec.optimizer, bool(rows.validation)
    on_cuda = ctx.device == "cuda"
    return result_arguments(ctx) | {
        "output_dir": str(ctx.checkpoints.folder),
        "max_steps": rows.schedule.steps,
        "train_sampling_strategy": "sequential",  # the batch schedule has decided the order
        "per_device_eval_batch_size": optimizer.batch_size,
        "eval_strategy": "steps" if has_validation else "no",
        "eval_steps": optimizer.evaluation_interval_steps,
        "metric_for_best_model": "eval_loss" if has_validation else None,
        "greater_is_better": False,
        "save_strategy": "steps",
        "save_steps": optimizer.evaluation_interval_steps,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",  # trackers.py adds the trackers' callbacks, in a thread of their own
        "run_name": ctx.job_id,
        "project": ctx.report_project,
        "disable_tqdm": True,
        "use_cpu": not on_cuda,
        "dataloader_pin_memory": on_cuda,
        "ddp_find_unused_parameters": False,  # every adapter weight has its part in every step
    }


def labelled_pair(row: EncodedRow) -> dict[str, list[int]]:
    """A pair as the trainers of ORPO and SimPO take it."""
    return {
        f"{side}_{name}": values
        for side, example in zip(("chosen", "rejected"), row.examples, strict=True)
        for name, values in (
            ("input_ids", list(example.ids)),
            ("attention_mask", [1] * len(example.ids)),
            ("labels", example.labels),
        )
    }


def train(trainer: Trainer, schedule: BatchSchedule, ctx: RunContext) -> Outcome:
    """Run the loop to its end, from the last complete checkpoint if there is one. StopRequested if it was asked to stop."""
    require_as_asked(trainer, ctx)
    _train_adapter_in_fp32(trainer.model)
    with PartialState().main_process_first():  # it fetches what is not here
        resumed = ctx.checkpoints.latest()
    progress = Progress(ctx, schedule, ctx.checkpoints, resumed)
    trainer.remove_callback(PrinterCallback)
    trainer.create_model_card = _no_card  # type: ignore[method-assign]
    trainer.add_callback(progress)
    if resumed and _ended(resumed.state(), schedule, ctx):
        state, seconds = resumed.state(), resumed.manifest.elapsed_seconds
    else:
        with reporting(trainer, ctx), _room_for_checkpoints(trainer.model, ctx.checkpoints):
            trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        state, seconds = vars(trainer.state), progress.elapsed_seconds
        if not _ended(state, schedule, ctx):
            raise StopRequested(state["global_step"])
    progress.conclude()
    best = state.get("best_global_step") or state["global_step"]
    kept = ctx.checkpoints.obtain(best)
    if kept is None:
        raise RuntimeError(f"the checkpoint of step {best} has gone")
    measured = _measured(ctx, schedule, state["global_step"], seconds, progress.peak_memory_bytes)
    if ctx.estimate:
        ctx.say(compared(ctx.estimate, measured))
    return Outcome(
        kept.folder, summary(state, schedule, seconds, progress.peak_memory_bytes), measured, findings=progress.findings
    )


def require_as_asked(trainer: Trainer, ctx: RunContext) -> None:
    """InternalError if the trainer would train otherwise than the job says: a library has rewritten its arguments."""
    wanted = result_arguments(ctx) | {"packing": False, "padding_free": False}
    found = {name: getattr(trainer.args, name) for name in wanted if hasattr(trainer.args, name)}
    found |= {name: value for name in ("packing", "padding_free") if (value := getattr(trainer, name, None))}
    changed = [f"{name} is {found[name]!r} and not {wanted[name]!r}" for name in found if found[name] != wanted[name]]
    if changed:
        raise InternalError(f"the {ctx.backend.name} backend changed what the job asks for: {'; '.join(changed)}")


def _no_card(*_: Any, **__: Any) -> None:
    """TRL writes a card beside every checkpoint, and imports a tracker's web server for it; ours is artifacts/model_card.py's."""


def _measured(
    ctx: RunContext, schedule: BatchSchedule, steps: int, seconds: float, peak_memory_bytes: int
) -> RunMeasurement:
    return RunMeasurement(
        seconds=round(seconds, 3),
        load_seconds=round(ctx.clock.seconds("load"), 3),
        peak_memory_bytes=peak_memory_bytes,
        tokens=sum(schedule.step_tokens(step) for step in range(1, steps + 1)),
        queue_seconds=round(ctx.overhead_seconds + ctx.clock.overhead_seconds, 3),
    )


def compared(estimate: RunEstimate, measured: RunMeasurement) -> str:
    """For people: what the run took, beside what was estimated."""
    time_off = measured.seconds / max(estimate.seconds, 1e-9) - 1
    memory_off = measured.peak_memory_bytes / max(estimate.peak_memory_bytes, 1) - 1
    return (
        f"took {measured.seconds:.1f} s ({estimate.seconds:.1f} s were estimated: {time_off:+.0%}) and "
        f"{measured.peak_memory_bytes / 1e6:.0f} MB ({estimate.peak_memory_bytes / 1e6:.0f} MB: {memory_off:+.0%})"
    )


def _restore_to_numbered_cpu(storage: Any, location: str) -> Any:
    """If several processes train on a CPU, transformers 5.17 loads the optimizer to "cpu:0", and torch 2.13 knows "cpu" alone."""
    return storage if location.startswith("cpu:") else None


torch.serialization.register_package(15, lambda _storage: None, _restore_to_numbered_cpu)


@contextmanager
def _room_for_checkpoints(model: Any, checkpoints: Checkpoints) -> Iterator[None]:
    """Refuse to begin if the disk has no room for two checkpoints, and say so if it runs full; what is torn is deleted."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    size_bytes = CHECKPOINT_COPIES * sum(parameter.numel() * parameter.element_size() for parameter in trained)
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    disk.require(2 * size_bytes, checkpoints.folder, "keep two checkpoints", MORE_ROOM)
    try:
        with disk.needing(size_bytes, checkpoints.folder, "save a checkpoint", MORE_ROOM):
            yield
    except PreconditionError:
        checkpoints.drop_torn()
        raise


def _train_adapter_in_fp32(model: Any) -> None:
    """TRL turns a 4-bit model's LoRA weights into bf16, in which an update of 1e-4 of a weight is lost to rounding."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _ended(state: dict[str, Any], schedule: BatchSchedule, ctx: RunContext) -> bool:
    return state["global_step"] >= schedule.steps or ran_out_of_patience(
        state["log_history"], ctx.spec.optimizer.early_stopping_patience
    )
