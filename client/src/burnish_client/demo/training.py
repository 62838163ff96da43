"""The demo's training step: the job submitted over gRPC, and its progress on the screen."""

from __future__ import annotations

from burnish.errors import InternalError
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.job_state import JobState
from burnish_client.cli.views import console
from burnish_client.cli.views.training.following import display
from burnish_client.demo.recipe import Recipe
from burnish_client.sdk.job_spec import tuning_spec
from burnish_client.sdk.trainer import TrainerClient, job_state


def train(trainer: TrainerClient, dataset: DatasetManifest, recipe: Recipe, seed: int) -> tuple[str, str]:
    """Train, and return name and version of the new adapter. Raises InternalError with the job's own error if it failed."""
    spec = tuning_spec(
        "sft",
        dataset_name=dataset.name,
        dataset_version=dataset.version,
        adapter_name=dataset.name,
        learning_rate=recipe.learning_rate,
        max_steps=recipe.training_steps,
        seed=seed,
    )
    job = trainer.create_job(spec)
    optimizer = job.spec.optimizer
    console.out().print(
        f"SFT, LoRA of rank {job.spec.lora.rank}, {optimizer.batch_size} rows a step, learning rate {optimizer.learning_rate:g}, "
        + (f"{optimizer.max_steps} steps" if optimizer.max_steps else f"{optimizer.epochs:g} passes over the rows"),
        soft_wrap=True,
    )
    try:
        with display(job.job_id, console.out()) as show:
            for event in trainer.watch(job.job_id):
                show(event)
    except KeyboardInterrupt:
        trainer.cancel_job(job.job_id)
        raise
    job = trainer.get_job(job.job_id)
    if (state := job_state(job.state)) is not JobState.SUCCEEDED:
        reason = job.error.message or "no reason given"
        raise InternalError(f"{job.job_id} ended {state}: {reason}: `burnish jobs show {job.job_id}`")
    console.out().print(f"adapter {job.adapter.name}@{job.adapter.version} is in the object store")
    return job.adapter.name, job.adapter.version
