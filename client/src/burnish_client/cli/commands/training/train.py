"""`burnish train sft|dpo|kto|orpo|simpo`: submit a tuning job and follow it, or only check and estimate it (--dry-run)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from burnish_client.cli.options.training import (
    DpoOptions,
    HardwareOptions,
    JsonOptions,
    KtoOptions,
    LoraOptions,
    OptimizerOptions,
    OrpoOptions,
    QueueOptions,
    SftOptions,
    SimpoOptions,
    SubmitOptions,
    queue_options,
    spec_options,
    takes,
)
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.tuning import Method

app = typer.Typer(
    help="Train an adapter on a dataset version. docs/training.md: which method for which data.", no_args_is_help=True
)
REST = (LoraOptions, OptimizerOptions, HardwareOptions, QueueOptions, JsonOptions)


@app.command("sft")
@takes(SubmitOptions, SftOptions, *REST)
def train_sft(options: dict[str, Any]) -> None:
    """Supervised fine-tuning: learn the corrected answers."""
    _submit("sft", options)


@app.command("dpo")
@takes(SubmitOptions, DpoOptions, *REST)
def train_dpo(options: dict[str, Any]) -> None:
    """Direct preference optimization: prefer the correction to the model's own wrong answer."""
    _submit("dpo", options)


@app.command("kto")
@takes(SubmitOptions, KtoOptions, *REST)
def train_kto(options: dict[str, Any]) -> None:
    """Kahneman-Tversky optimization: learn from single answers marked good or bad."""
    _submit("kto", options)


@app.command("orpo")
@takes(SubmitOptions, OrpoOptions, *REST)
def train_orpo(options: dict[str, Any]) -> None:
    """Odds-ratio preference optimization: learn and prefer the correction in one pass, without a reference."""
    _submit("orpo", options)


@app.command("simpo")
@takes(SubmitOptions, SimpoOptions, *REST)
def train_simpo(options: dict[str, Any]) -> None:
    """Simple preference optimization: prefer the correction by a margin, without a reference."""
    _submit("simpo", options)


def _submit(method: Method, options: dict[str, Any]) -> None:
    """Queue the job that a command's options describe, or preview it."""
    from burnish_client import CuratorClient, TrainerClient
    from burnish_client.cli.views import following, job_text
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.sdk.trainer import tuning_spec

    queue = queue_options(options)
    given = spec_options(options)
    settings = ClientSettings()
    name, version = console.name_and_version(options["dataset"])
    with CuratorClient.from_settings(settings) as curator:
        manifest = curator.dataset(name, version)
    spec = tuning_spec(
        method,
        dataset_name=name,
        dataset_version=manifest.version,
        adapter_name=options["adapter"] or name,
        **given,
    )
    as_json, follow = options["json"], options["follow"]
    with TrainerClient.from_settings(settings) as trainer:
        if options["dry_run"]:
            with console.working("checking every row and estimating"):
                preview = trainer.preview_job(spec, deadline=queue["deadline"])
            if as_json:
                console.print_json(preview)
            else:
                job_text.show_preview(preview)
            raise typer.Exit(1 if preview.refused else 0)
        job = trainer.create_job(spec, **queue)
        console.note(f"[bold green]queued[/] {job.job_id}: {job_text.summary(spec)}")
        if follow:
            job = following.follow(trainer, job.job_id)
    if as_json:
        console.print_json(job)
    elif follow:
        following.show_outcome(job)
    else:
        console.next_step(f"burnish jobs watch {job.job_id}")
    if follow:
        raise typer.Exit(following.exit_code(job))
