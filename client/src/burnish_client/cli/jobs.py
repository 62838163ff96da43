"""`burnish jobs`: tuning jobs, listed, shown, watched and cancelled."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli import console
from burnish_client.cli.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.trainer_client import TuningJob, TuningJobEvent

app = typer.Typer(help="Tuning jobs: list, look into, watch, cancel.", no_args_is_help=True)
JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="As `burnish jobs ls` shows it.")]


class JobState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "pending": "dim"}


@app.command("ls")
def list_jobs(
    state: Annotated[
        list[JobState] | None,
        typer.Option(help="Only jobs in this state; repeat for more.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    json: JsonFlag = False,
) -> None:
    """Jobs, newest first."""
    from burnish_client.trainer_client import TrainerClient, to_dict

    with TrainerClient.from_settings() as trainer:
        jobs = trainer.list_jobs([one.value for one in state or ()], limit)
    if json:
        return console.print_json([to_dict(job) for job in jobs])
    if not jobs:
        return console.note("no jobs: burnish train sft --dataset NAME --follow")
    shown = console.table("job", "state", "method", "~dataset", "~adapter", ">step", ">loss")
    for job in jobs:
        shown.add_row(
            job.job_id,
            _state(job),
            job.spec.WhichOneof("method") or "",
            job.spec.dataset.name,
            job.spec.adapter_name,
            _steps(job),
            _loss(job),
        )
    console.show_table(shown)


def _state(job: TuningJob) -> str:
    from burnish_client.trainer_client import state_name

    name = state_name(job.state)
    return f"[{COLOURS[name]}]{name}[/]"


def _steps(job: TuningJob) -> str:
    return f"{job.progress.step}/{job.progress.total_steps}" if job.HasField("progress") else "–"


def _loss(job: TuningJob) -> str:
    return f"{job.progress.train_loss:.3f}" if job.progress.HasField("train_loss") else "–"


@app.command("show")
def show_job(job_id: JobId, json: JsonFlag = False) -> None:
    """A job: what it does, how far it is, how it ended."""
    from burnish_client.trainer_client import TrainerClient, to_dict

    with TrainerClient.from_settings() as trainer:
        job = trainer.get_job(job_id)
    if json:
        return console.print_json(to_dict(job))
    spec = job.spec
    out = console.out()
    out.print(f"{job.job_id}  {_state(job)}")
    out.print(
        console.facts(
            [
                ("method", spec.WhichOneof("method")),
                ("dataset", f"{spec.dataset.name}@{spec.dataset.version}"),
                (
                    "adapter",
                    f"{job.adapter.name}@{job.adapter.version}"
                    if job.HasField("adapter")
                    else f"{spec.adapter_name} (no version yet)",
                ),
                ("progress", f"step {_steps(job)}, loss {_loss(job)}"),
                ("attempts", job.attempts),
                *[(name, _time(job, name)) for name in ("create_time", "start_time", "end_time")],
                ("parameters", _parameters(job)),
            ]
        )
    )
    if job.HasField("error"):
        console.error(job.error.message)


def _time(job: TuningJob, field: str) -> str | None:
    from datetime import UTC

    return console.when(getattr(job, field).ToDatetime(tzinfo=UTC)) if job.HasField(field) else None


def _parameters(job: TuningJob) -> str:
    from burnish_client.trainer_client import to_dict

    spec = to_dict(job.spec)
    given = {**spec.get("lora", {}), **spec.get("optimizer", {}), **spec.get("dpo", {})}
    given.update({name: spec[name] for name in ("quantization", "backend", "seed") if name in spec})
    return ", ".join(f"{name} {_value(value)}" for name, value in given.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, dict):
        return "@".join(value.values())
    return str(value).removeprefix("QUANTIZATION_").removeprefix("BACKEND_").lower()


@app.command("watch")
def watch_job(
    job_id: JobId,
    after_sequence: Annotated[int, typer.Option(help="Only events after this one.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Follow a job until it has ended; --json prints one event a line. Ctrl-C leaves it running."""
    from burnish_client.cli import following
    from burnish_client.trainer_client import TrainerClient, to_dict

    def print_event(event: TuningJobEvent) -> None:
        console.print_json_line(to_dict(event))

    with TrainerClient.from_settings() as trainer:
        job = following.follow(trainer, job_id, after_sequence, also=print_event if json else None)
    if not json:
        following.show_outcome(job)
    raise typer.Exit(following.exit_code(job))


@app.command("cancel")
def cancel_job(job_id: JobId, json: JsonFlag = False) -> None:
    """End a job that has not ended."""
    from burnish_client.trainer_client import TrainerClient, state_name, to_dict

    with TrainerClient.from_settings() as trainer:
        job = trainer.cancel_job(job_id)
    if json:
        return console.print_json(to_dict(job))
    console.out().print(f"{job.job_id} is {state_name(job.state)}")
