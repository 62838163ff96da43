"""`burnish jobs`: list, show, watch, pause, resume and cancel tuning jobs; their metrics and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish.schemas.training.job_state import JobState
from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.options.training import read_labels
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_protos.trainer.v1.trainer_pb2 import TuningJob

app = typer.Typer(
    help="Tuning jobs: list, show, watch, pause, resume, cancel; their metrics and checkpoints.", no_args_is_help=True
)
JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="As `burnish jobs ls` shows it.")]
PAUSE_LIMIT_SECONDS = 300.0  # a checkpoint of a large adapter on a slow disk


class ListOptions(Options):
    """Which jobs, and how many."""

    state: list[JobState] | None = option(None, "Only jobs in this state; repeat for more.")
    label: list[str] | None = option(
        None, "Only jobs with this label; repeat for all of several.", metavar="NAME=VALUE"
    )
    adapter: str | None = option(None, "Only jobs that make this adapter.", metavar="NAME")
    dataset: str | None = option(None, "Only jobs on this dataset.", metavar="NAME")
    limit: int = option(50, "At most so many.", min=1)
    json: JsonFlag = False


@app.command("ls")
@grouped
def list_jobs(options: ListOptions) -> None:
    """List jobs, newest first."""
    from burnish_client.cli.views.training import job_text

    labels = read_labels(options.label)
    with burnish_client.TrainerClient.from_settings() as trainer:
        jobs = trainer.list_jobs(
            options.state or (),
            options.limit,
            labels=labels,
            adapter_name=options.adapter,
            dataset_name=options.dataset,
        )
    if options.json:
        console.print_json(jobs)
    elif jobs:
        job_text.show_list(jobs)
    else:
        is_filtered = options.state or labels or options.adapter or options.dataset
        console.note("no such jobs" if is_filtered else "no jobs: burnish train sft --dataset NAME --follow")


@app.command("show")
def show_job(job_id: JobId, json: JsonFlag = False) -> None:
    """Show what a job does, what was found, its progress, how it ended, and what it was estimated to take and took."""
    from burnish_client.cli.views.training import job_text

    with burnish_client.TrainerClient.from_settings() as trainer:
        job = trainer.get_job(job_id)
    console.show(job, job_text.show_job, json=json)


@app.command("watch")
def watch_job(
    job_id: JobId,
    after_sequence: Annotated[int, typer.Option(help="Only events after this one.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Follow a job until it has ended; --json prints one event a line. Ctrl-C leaves it running.

    Exit code: 0 succeeded, 1 failed or cancelled, 130 left by Ctrl-C.
    """
    from burnish_client.cli.views.training import following

    with burnish_client.TrainerClient.from_settings() as trainer:
        job = following.follow(trainer, job_id, after_sequence, as_json=json)
    if not json:
        following.show_outcome(job)
    raise typer.Exit(following.exit_code(job))


@app.command("pause")
def pause_job(
    job_id: JobId,
    wait: Annotated[bool, typer.Option(help="Wait until its device is free.")] = True,
    json: JsonFlag = False,
) -> None:
    """Save a checkpoint and free the device; the job waits until it is resumed."""
    with burnish_client.TrainerClient.from_settings() as trainer:
        job = trainer.pause_job(job_id)
        if wait:
            with console.working(f"{job_id} saves a checkpoint"):
                job = trainer.wait_paused(job_id, PAUSE_LIMIT_SECONDS)
    _show_changed(job, json, next_step=f"burnish jobs resume {job_id}", remark=" and asked to pause")


@app.command("resume")
def resume_job(job_id: JobId, json: JsonFlag = False) -> None:
    """Put a paused job back into the queue; it continues from its last checkpoint."""
    with burnish_client.TrainerClient.from_settings() as trainer:
        job = trainer.resume_job(job_id)
    _show_changed(job, json, next_step=f"burnish jobs watch {job_id}")


@app.command("cancel")
def cancel_job(job_id: JobId, json: JsonFlag = False) -> None:
    """End a job that has not ended."""
    with burnish_client.TrainerClient.from_settings() as trainer:
        job = trainer.cancel_job(job_id)
    _show_changed(job, json)


def _show_changed(job: TuningJob, json: bool, *, next_step: str | None = None, remark: str = "") -> None:
    """The job's state after a change. remark: added unless it is paused already."""
    from burnish_client.sdk.trainer import job_state

    if json:
        return console.print_json(job)
    state = job_state(job.state)
    console.out().print(f"{job.job_id} is {state}{'' if state is JobState.PAUSED else remark}")
    if next_step:
        console.next_step(next_step)


@app.command("checkpoints")
def list_checkpoints(job_id: JobId, json: JsonFlag = False) -> None:
    """List the checkpoints of a job that are still kept; each can be published as an adapter version."""
    from burnish_client.cli.views.training import job_text

    with burnish_client.TrainerClient.from_settings() as trainer:
        kept = trainer.list_checkpoints(job_id)
    columns = (">step", ">epoch", ">validation loss", "", ">size", "adapter")
    empty = f"{job_id} has no checkpoints, or none are left"
    console.show_models(kept, job_text.checkpoint_row, *columns, json=json, empty=empty)
    if kept and not json:
        console.next_step(f"burnish jobs publish {job_id} --step N")


@app.command("publish")
def publish_checkpoint(
    job_id: JobId,
    step: Annotated[int, typer.Option(help="Step of the checkpoint, as `burnish jobs checkpoints` shows it.", min=1)],
    json: JsonFlag = False,
) -> None:
    """Make a checkpoint an adapter version, to be used, evaluated and promoted as any other."""
    with burnish_client.TrainerClient.from_settings() as trainer:
        adapter = trainer.publish_checkpoint(job_id, step)
    if json:
        return console.print_json(adapter)
    console.out().print(f"step {step} of {job_id} is adapter {adapter.name}@{adapter.version}")
    console.next_step(f"burnish eval --benchmark NAME --adapter {adapter.name}@{adapter.version}")


@app.command("rm")
def remove_job(job_id: JobId) -> None:
    """Remove a job that has ended, with its events and checkpoints. Refused while an adapter version came from it."""
    with burnish_client.TrainerClient.from_settings() as trainer:
        trainer.delete_job(job_id)
    console.out().print(f"[bold green]removed[/] {job_id}")


@app.command("metrics")
def show_metrics(
    job_id: JobId,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header on stdout.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show the metrics so far, one line for each step. For a step that was run again after a resume, its last figures."""
    from burnish_client.cli.views.training import job_metrics

    if csv and json:
        raise InvalidInputError("--csv and --json exclude each other: choose one")
    with burnish_client.TrainerClient.from_settings() as trainer:
        rows = job_metrics.by_step(trainer.events(job_id))
    if json:
        console.print_json(rows)
    elif csv:
        job_metrics.write_csv(rows)
    elif rows:
        console.show_table(job_metrics.table(rows))
    else:
        console.note(f"{job_id} has no metrics yet")
