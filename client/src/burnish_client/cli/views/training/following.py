"""A tuning job's progress as it happens: a live bar on a terminal, plain lines elsewhere. Used by train, jobs and the demo."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from burnish.schemas.training.job_state import JobState
from burnish_client.cli.views import console
from burnish_client.cli.views.training import job_text
from burnish_client.sdk.trainer import TrainerClient, job_state
from burnish_protos.trainer.v1.trainer_pb2 import StepMetrics, TuningJob, TuningJobEvent

BAR_WIDTH = 24
EventSink = Callable[[TuningJobEvent], None]


def follow(
    trainer: TrainerClient,
    job_id: str,
    after_sequence: int = 0,
    *,
    as_json: bool = False,
    shown: Collection[str] = (),
) -> TuningJob:
    """Show events until the job has ended, and return it. as_json: also print each on stdout, one a line.

    shown: messages of findings that have been printed before.

    Ctrl-C leaves the job running, says how to watch it again, and exits with 130.
    """
    try:
        with display(job_id, console.err()) as show:
            for event in trainer.watch(job_id, after_sequence):
                if as_json:
                    console.print_json(event, indent=None)
                if event.finding.message not in shown:
                    show(event)
    except KeyboardInterrupt:
        console.note(
            f"[yellow]{job_id} continues.[/] Watch it again: burnish jobs watch {job_id}; end it: burnish jobs cancel {job_id}"
        )
        raise typer.Exit(130) from None
    return trainer.get_job(job_id)


@contextmanager
def display(job_id: str, where: Console) -> Iterator[EventSink]:
    """Shows events on a console: a live board on a terminal, one line for each event elsewhere."""
    if not where.is_terminal:
        yield lambda event: where.print(plain_line(event), soft_wrap=True, markup=False)
        return
    board = Board(job_id)
    with Live(board.render(), console=where, refresh_per_second=4, transient=False) as live:

        def show(event: TuningJobEvent) -> None:
            board.take(event)
            live.update(board.render())
            if line := line_above(event, job_id):
                live.console.print(line)

        yield show


def line_above(event: TuningJobEvent, job_id: str) -> str | None:
    """What is printed above the board, as markup: messages, findings in their colour, and how to resume a paused job."""
    kind = event.WhichOneof("event")
    if kind == "message":
        return f"[dim]{console.one_line(event.message)}[/]"
    if kind == "finding":
        return f"[{job_text.finding_word(event.finding)[1]}]{escape(job_text.finding_line(event.finding))}[/]"
    if kind == "state_change" and event.state_change == TuningJob.STATE_PAUSED:
        return f"[magenta]paused[/] [dim]to continue: burnish jobs resume {job_id}[/]"
    return None


class Board:
    """The live picture: state, bar, the newest of each figure, and the estimate until there are figures."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.state = JobState.PENDING
        self.metrics = StepMetrics()
        self.validation_loss: float | None = None
        self.first_loss: float | None = None
        self.estimate: str | None = None

    def take(self, event: TuningJobEvent) -> None:
        kind = event.WhichOneof("event")
        if kind == "state_change":
            self.state = job_state(event.state_change)
        elif kind == "metrics":
            if event.metrics.HasField("validation_loss"):
                self.validation_loss = event.metrics.validation_loss
            if event.metrics.HasField("train_loss"):
                self.metrics = event.metrics
                if self.first_loss is None:
                    self.first_loss = event.metrics.train_loss
        elif kind == "estimate":
            self.estimate = job_text.estimate_line(event.estimate)

    def render(self) -> Table:
        figures = self.metrics
        done = round(BAR_WIDTH * figures.step / figures.total_steps) if figures.total_steps else 0
        bar = f"[green]{'━' * done}[/][dim]{'━' * (BAR_WIDTH - done)}[/]"
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            f"[bold]{self.job_id}[/]",
            job_text.state_markup(self.state),
            bar,
            f"step {figures.step}/{figures.total_steps or '?'}",
        )
        first = f" (from {self.first_loss:.3f})" if self.first_loss is not None else ""
        loss = f"loss {figures.train_loss:.3f}{first}" if figures.HasField("train_loss") else "loss –"
        validation = f"validation {self.validation_loss:.3f}" if self.validation_loss is not None else "validation –"
        speed = f"{figures.tokens_per_second:.0f} tokens/s" if figures.HasField("tokens_per_second") else "– tokens/s"
        left = f"{console.duration(figures.seconds_left)} left" if figures.HasField("seconds_left") else "– left"
        whole = Table.grid()
        whole.add_row(grid)
        if self.first_loss is None and self.estimate:
            whole.add_row(f"  [dim]{escape(self.estimate)}[/]")
        else:
            whole.add_row(f"  {loss}   {validation}   {speed}   {left}")
        return whole


def plain_line(event: TuningJobEvent) -> str:
    """One event as one line of plain text."""
    kind = event.WhichOneof("event")
    if kind == "state_change":
        return f"state {job_state(event.state_change)}"
    if kind == "message":
        return console.fold(event.message)
    if kind == "finding":
        return job_text.finding_line(event.finding)
    if kind == "estimate":
        return job_text.estimate_line(event.estimate)
    metrics = event.metrics
    words = [f"step {metrics.step}/{metrics.total_steps}"]
    words += [f"loss {metrics.train_loss:.4f}"] if metrics.HasField("train_loss") else []
    words += [f"validation_loss {metrics.validation_loss:.4f}"] if metrics.HasField("validation_loss") else []
    words += [f"{metrics.tokens_per_second:.0f} tokens/s"] if metrics.HasField("tokens_per_second") else []
    words += [f"{console.duration(metrics.seconds_left)} left"] if metrics.HasField("seconds_left") else []
    return "  ".join(words)


def exit_code(job: TuningJob) -> int:
    return 0 if job_state(job.state) is JobState.SUCCEEDED else 1


def show_outcome(job: TuningJob) -> None:
    """How the job ended, and what to do next."""
    state = job_state(job.state)
    if state is JobState.SUCCEEDED:
        _show_success(job)
    elif state is JobState.FAILED:
        console.error(f"{job.job_id} failed: {job.error.message}", f"burnish jobs show {job.job_id}")
    else:
        console.note(f"[yellow]{state}[/] {job.job_id}")


def _show_success(job: TuningJob) -> None:
    if not job.HasField("adapter") and job.HasField("remote_model"):
        model, reference = job_text.remote_model_text(job.remote_model), job_text.remote_reference(job)
        console.out().print(f"[bold green]succeeded[/] {job.job_id} → remote model {reference}: {escape(model)}")
        return console.next_step(f"burnish eval --benchmark NAME --adapter {reference}")
    reference = job_text.reference(job.adapter)
    seconds = job.end_time.ToDatetime() - job.start_time.ToDatetime()
    console.out().print(
        f"[bold green]succeeded[/] {job.job_id} → adapter {reference} after {console.duration(seconds.total_seconds())}"
    )
    if job.HasField("estimate") and job.HasField("measured"):
        estimate, measured = job.estimate, job.measured
        console.note(
            f"[dim]training took {console.duration(measured.seconds)} (estimated {console.duration(estimate.seconds)}), "
            f"{console.size(measured.peak_memory_bytes)} of memory (estimated {console.size(estimate.peak_memory_bytes)})[/]"
        )
    console.next_step(
        f"burnish eval --benchmark NAME --adapter {reference} --dataset {job_text.reference(job.spec.dataset)}"
    )
