"""`burnish jobs`: tuning jobs listed, shown, watched, paused, resumed and cancelled; their metrics and their checkpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from burnish_client.sdk.trainer import TuningJob, TuningJobEvent

app = typer.Typer(
    help="Tuning jobs: list, look into, watch, pause, resume, cancel; metrics and checkpoints.", no_args_is_help=True
)
JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="As `burnish jobs ls` shows it.")]
PAUSE_LIMIT_SECONDS = 300.0  # a checkpoint of a large adapter on a slow disk


class JobState(StrEnum):
    PENDING = "pending"
    PREPARING = "preparing"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@app.command("ls")
def list_jobs(
    state: Annotated[
        list[JobState] | None,
        typer.Option(help="Only jobs in this state; repeat for more.", show_default=False),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Only jobs with this label; repeat for all of several.", metavar="NAME=VALUE"),
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="Only jobs that make this adapter.", metavar="NAME")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only jobs on this dataset.", metavar="NAME")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    json: JsonFlag = False,
) -> None:
    """Jobs, newest first."""
    from burnish_client.cli.options.training import read_labels
    from burnish_client.sdk.trainer import TrainerClient, to_dict

    labels = read_labels(label or ())
    filters = {"labels": labels, "adapter_name": adapter, "dataset_name": dataset}
    with TrainerClient.from_settings() as trainer:
        jobs = trainer.list_jobs([one.value for one in state or ()], limit, **filters)  # type: ignore[arg-type]
    if json:
        return console.print_json([to_dict(job) for job in jobs])
    if not jobs:
        filtered = state or any(filters.values())
        return console.note("no such jobs" if filtered else "no jobs: burnish train sft --dataset NAME --follow")
    _show_list(jobs)


def _show_list(jobs: list[TuningJob]) -> None:
    from burnish_client.cli.views import job_text

    ranked = any(job.priority for job in jobs)
    shown = console.table(
        "job", "state", "method", "~dataset", "~adapter", *([">prio"] if ranked else []), ">step", ">loss"
    )
    for job in jobs:
        shown.add_row(
            job.job_id,
            job_text.state_markup(job.state),
            job.spec.WhichOneof("method") or "",
            job.spec.dataset.name,
            job.spec.adapter_name,
            *([str(job.priority)] if ranked else []),
            _steps(job),
            _loss(job),
        )
    console.show_table(shown)


def _steps(job: TuningJob) -> str:
    return f"{job.progress.step}/{job.progress.total_steps}" if job.HasField("progress") else "–"


def _loss(job: TuningJob) -> str:
    return f"{job.progress.train_loss:.3f}" if job.progress.HasField("train_loss") else "–"


@app.command("show")
def show_job(job_id: JobId, json: JsonFlag = False) -> None:
    """A job: what it does, what was found, how far it is, how it ended, what it was estimated to take and took."""
    from burnish_client.cli.views import job_text
    from burnish_client.sdk.trainer import TrainerClient, to_dict

    with TrainerClient.from_settings() as trainer:
        job = trainer.get_job(job_id)
    if json:
        return console.print_json(to_dict(job))
    out = console.out()
    out.print(f"{job.job_id}  {job_text.state_markup(job.state)}")
    out.print(console.facts(_facts(job)))
    job_text.show_findings(job.findings)
    if job.HasField("measured") and job.HasField("estimate"):
        out.print(job_text.estimate_and_measurement(job.estimate, job.measured))
    elif job.HasField("estimate"):
        job_text.show_estimate(job.estimate)
    if job.HasField("error"):
        console.error(job.error.message)
    if job.HasField("progress"):
        console.note(f"[dim]checkpoints:[/] burnish jobs checkpoints {job.job_id}")


def _facts(job: TuningJob) -> list[tuple[str, object]]:
    from burnish_client.cli.views import job_text

    spec = job.spec
    made = f"{job.adapter.name}@{job.adapter.version}" if job.HasField("adapter") else None
    return [
        ("method", spec.WhichOneof("method")),
        ("dataset", f"{spec.dataset.name}@{spec.dataset.version}"),
        ("adapter", made or f"{spec.adapter_name} (no version yet)"),
        ("progress", f"step {_steps(job)}, loss {_loss(job)}"),
        ("attempts", job.attempts),
        ("devices", ", ".join(job.devices)),
        ("priority", job.priority or None),
        ("labels", ", ".join(f"{name}={value}" for name, value in sorted(job.labels.items()))),
        ("next attempt", _time(job, "not_before")),
        *[(name, _time(job, name)) for name in ("deadline", "create_time", "start_time", "end_time")],
        ("parameters", job_text.parameters(spec)),
    ]


def _time(message: Message, field: str) -> str | None:
    from datetime import UTC

    return console.when(getattr(message, field).ToDatetime(tzinfo=UTC)) if message.HasField(field) else None


@app.command("watch")
def watch_job(
    job_id: JobId,
    after_sequence: Annotated[int, typer.Option(help="Only events after this one.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Follow a job until it has ended; --json prints one event a line. Ctrl-C leaves it running.

    Exit code: 0 succeeded, 1 failed or cancelled, 130 left by Ctrl-C.
    """
    from burnish_client.cli.views import following
    from burnish_client.sdk.trainer import TrainerClient, to_dict

    def print_event(event: TuningJobEvent) -> None:
        console.print_json_line(to_dict(event))

    with TrainerClient.from_settings() as trainer:
        job = following.follow(trainer, job_id, after_sequence, also=print_event if json else None)
    if not json:
        following.show_outcome(job)
    raise typer.Exit(following.exit_code(job))


@app.command("pause")
def pause_job(
    job_id: JobId,
    wait: Annotated[bool, typer.Option(help="Until its device is free.")] = True,
    json: JsonFlag = False,
) -> None:
    """Save a checkpoint and free the device; the job waits until it is resumed."""
    from burnish_client.sdk.trainer import TrainerClient, state_name

    with TrainerClient.from_settings() as trainer:
        job = trainer.pause_job(job_id)
        if wait:
            with console.working(f"{job_id} saves a checkpoint"):
                job = trainer.wait_paused(job_id, PAUSE_LIMIT_SECONDS)
    asked = "" if state_name(job.state) == "paused" else " and asked to pause"
    _tell(job, json, asked, next_step=f"burnish jobs resume {job_id}")


@app.command("resume")
def resume_job(job_id: JobId, json: JsonFlag = False) -> None:
    """Put a paused job back into the queue, to go on from its last checkpoint."""
    from burnish_client.sdk.trainer import TrainerClient

    with TrainerClient.from_settings() as trainer:
        job = trainer.resume_job(job_id)
    _tell(job, json, next_step=f"burnish jobs watch {job_id}")


@app.command("cancel")
def cancel_job(job_id: JobId, json: JsonFlag = False) -> None:
    """End a job that has not ended."""
    from burnish_client.sdk.trainer import TrainerClient

    with TrainerClient.from_settings() as trainer:
        job = trainer.cancel_job(job_id)
    _tell(job, json)


def _tell(job: TuningJob, json: bool, remark: str = "", next_step: str | None = None) -> None:
    from burnish_client.sdk.trainer import state_name, to_dict

    if json:
        return console.print_json(to_dict(job))
    console.out().print(f"{job.job_id} is {state_name(job.state)}{remark}")
    if next_step:
        console.next_step(next_step)


@app.command("checkpoints")
def list_checkpoints(job_id: JobId, json: JsonFlag = False) -> None:
    """The saved states of a job that are still kept; each can be published as an adapter version."""
    from burnish_client.sdk.trainer import TrainerClient, to_dict

    with TrainerClient.from_settings() as trainer:
        kept = trainer.list_checkpoints(job_id)
    if json:
        return console.print_json([to_dict(checkpoint) for checkpoint in kept])
    if not kept:
        return console.note(f"{job_id} has no checkpoints (yet, or any more)")
    shown = console.table(">step", ">epoch", ">validation loss", "", ">size", "adapter")
    for one in kept:
        loss = f"{one.validation_loss:.4f}" if one.HasField("validation_loss") else "–"
        adapter = f"{one.adapter.name}@{one.adapter.version}" if one.HasField("adapter") else "–"
        best = "[green]best[/]" if one.best else ""
        shown.add_row(str(one.step), f"{one.epoch:.2f}", loss, best, console.size(one.size_bytes), adapter)
    console.show_table(shown)
    console.next_step(f"burnish jobs publish {job_id} --step N")


@app.command("publish")
def publish_checkpoint(
    job_id: JobId,
    step: Annotated[int, typer.Option(help="Of the checkpoint, as `burnish jobs checkpoints` shows it.", min=1)],
    json: JsonFlag = False,
) -> None:
    """Make a checkpoint an adapter version, to be asked, evaluated and promoted as any other."""
    from burnish_client.sdk.trainer import TrainerClient, to_dict

    with TrainerClient.from_settings() as trainer:
        adapter = trainer.publish_checkpoint(job_id, step)
    if json:
        return console.print_json(to_dict(adapter))
    console.out().print(f"step {step} of {job_id} is adapter {adapter.name}@{adapter.version}")
    console.next_step(f"burnish eval --benchmark NAME --adapter {adapter.name}@{adapter.version}")


@app.command("metrics")
def show_metrics(
    job_id: JobId,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header on stdout.")] = False,
    json: JsonFlag = False,
) -> None:
    """The final series so far: a line a step; where a step was run again after a resume, its last figures."""
    from burnish.errors import InvalidInputError
    from burnish_client.cli.views import job_metrics
    from burnish_client.sdk.trainer import TrainerClient

    if csv and json:
        raise InvalidInputError("--csv and --json exclude each other: choose one")
    with TrainerClient.from_settings() as trainer:
        rows = job_metrics.by_step(trainer.events(job_id))
    if json:
        console.print_json(rows)
    elif csv:
        job_metrics.write_csv(rows)
    elif rows:
        console.show_table(job_metrics.table(rows))
    else:
        console.note(f"{job_id} has told no metrics yet")
