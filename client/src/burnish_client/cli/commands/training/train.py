"""`burnish train sft|dpo|kto|orpo|simpo`: submit a tuning job and follow it, or check and estimate it without (--dry-run)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from burnish_client.cli.commands.training import compare as train_compare
from burnish_client.cli.commands.training import sweep as train_sweep
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
    from datetime import datetime

    from burnish.schemas.tuning import Method
    from burnish_client.sdk.trainer import TrainerClient, TuningSpec

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


app.command("compare")(train_compare.compare)
app.add_typer(train_sweep.app, name="sweep")


def _submit(method: Method, options: dict[str, Any]) -> None:
    """Queue the job that a command's options describe, or preview it."""
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.sdk.curator import CuratorClient
    from burnish_client.sdk.trainer import TrainerClient, tuning_spec

    place = queue_options(options)
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
    with TrainerClient.from_settings(settings) as trainer:
        if options["dry_run"]:
            _preview(trainer, spec, place["deadline"], options["json"])
        else:
            _queue(trainer, spec, place, options["follow"], options["json"])


def _preview(trainer: TrainerClient, spec: TuningSpec, deadline: datetime | None, json: bool) -> None:
    """Print what preflight says of the job; exit code 1 where it is refused."""
    from burnish_client.cli.views import job_text
    from burnish_client.sdk.trainer import to_dict

    with console.working("checking every row and estimating"):
        preview = trainer.preview_job(spec, deadline=deadline)
    if json:
        console.print_json(to_dict(preview))
    else:
        job_text.show_preview(preview)
    raise typer.Exit(1 if preview.refused else 0)


def _queue(trainer: TrainerClient, spec: TuningSpec, place: dict[str, Any], follow: bool, json: bool) -> None:
    from burnish_client.cli.views import following
    from burnish_client.sdk.trainer import to_dict

    job = trainer.create_job(spec, **place)
    dataset = f"{spec.dataset.name}@{spec.dataset.version}"
    console.note(
        f"[bold green]queued[/] {job.job_id}: {spec.WhichOneof('method')} on {dataset} → adapter {spec.adapter_name}"
    )
    if follow:
        job = following.follow(trainer, job.job_id)
    if json:
        console.print_json(to_dict(job))
    elif follow:
        following.show_outcome(job)
    else:
        console.next_step(f"burnish jobs watch {job.job_id}")
    if follow:
        raise typer.Exit(following.exit_code(job))
