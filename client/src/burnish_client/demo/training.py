"""The demo's training step: the job submitted over gRPC, and its progress on the screen."""

from __future__ import annotations

from burnish.errors import InternalError
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.job_state import JobState
from burnish_client.cli.views import console
from burnish_client.cli.views.following import display
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
        rank=recipe.rank,
        learning_rate=recipe.learning_rate,
        max_steps=recipe.training_steps,
        batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        evaluation_interval_steps=recipe.evaluation_interval_steps,
        seed=seed,
    )
    console.out().print(
        f"SFT, LoRA of rank {recipe.rank}, {recipe.training_steps} steps of "
        f"{recipe.batch_size * recipe.gradient_accumulation_steps} rows, learning rate {recipe.learning_rate:g} "
        "(the product's default is 1e-4 for three passes; a demo has minutes)",
        soft_wrap=True,
    )
    job = trainer.create_job(spec)
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
