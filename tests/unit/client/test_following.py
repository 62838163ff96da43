"""Progress of a job as a person sees it."""

from __future__ import annotations

import pytest
from rich.console import Console

from burnish_client.cli.views.training.following import Board, exit_code, line_above, plain_line
from burnish_protos.trainer.v1.trainer_pb2 import Finding, RunEstimate, StepMetrics, TuningJob, TuningJobEvent

STEP = TuningJobEvent(
    sequence=3,
    metrics=StepMetrics(step=12, total_steps=40, train_loss=0.30512, tokens_per_second=161.4, seconds_left=125),
)
EVALUATION = TuningJobEvent(sequence=4, metrics=StepMetrics(step=12, total_steps=40, validation_loss=0.2871))
ESTIMATE = TuningJobEvent(
    sequence=2,
    estimate=RunEstimate(
        seconds=125, steps=40, peak_memory_bytes=1_910_000_000, disk_bytes=45_000_000, basis="no run yet"
    ),
)
WARNING = TuningJobEvent(
    sequence=5,
    finding=Finding(
        code="secret-in-text",
        severity=Finding.SEVERITY_WARNING,
        message="looks like [red] keys",
        question_ids=[f"q{number}" for number in range(7)],
        count=9,
    ),
)


def test_plain_lines_hold_what_was_measured_and_nothing_else() -> None:
    assert plain_line(STEP) == "step 12/40  loss 0.3051  161 tokens/s  2:05 min left"
    assert plain_line(EVALUATION) == "step 12/40  validation_loss 0.2871"
    assert plain_line(TuningJobEvent(state_change=TuningJob.STATE_RUNNING)) == "state running"
    assert plain_line(TuningJobEvent(message="checkpoint at\nstep 10")) == "checkpoint at step 10"
    assert plain_line(ESTIMATE) == "estimate 2:05 min for 40 steps, 1.91 GB of memory, 45.0 MB of disk (no run yet)"
    assert plain_line(WARNING) == "warning secret-in-text: looks like [red] keys (rows q0, q1, q2, q3, q4 and 4 more)"


def test_findings_are_told_above_the_board_in_their_colour() -> None:
    told = line_above(WARNING, "job-1")
    assert told is not None
    assert told.startswith("[yellow]warning")
    assert r"\[red]" in told, "what looks like markup is text"
    WARNING.finding.severity = Finding.SEVERITY_REFUSAL
    assert (line_above(WARNING, "job-1") or "").startswith("[red]refused")
    WARNING.finding.severity = Finding.SEVERITY_WARNING
    paused = line_above(TuningJobEvent(state_change=TuningJob.STATE_PAUSED), "job-1")
    assert paused is not None
    assert "burnish jobs resume job-1" in paused
    assert line_above(STEP, "job-1") is None


def test_the_board_shows_the_estimate_until_there_are_figures() -> None:
    board = Board("job-0123456789abcdef")
    for event in (TuningJobEvent(state_change=TuningJob.STATE_PREPARING), ESTIMATE):
        board.take(event)
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(board.render())
    assert "preparing" in capture.get()
    assert "estimate 2:05 min" in capture.get()
    board.take(STEP)
    with console.capture() as capture:
        console.print(board.render())
    assert "estimate" not in capture.get()


def test_the_board_keeps_the_newest_of_each_figure_within_80_columns() -> None:
    board = Board("job-0123456789abcdef")
    first = TuningJobEvent(metrics=StepMetrics(step=1, total_steps=40, train_loss=1.2))
    for event in (TuningJobEvent(state_change=TuningJob.STATE_RUNNING), first, STEP, EVALUATION):
        board.take(event)
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(board.render())
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    for piece in (
        "job-0123456789abcdef",
        "running",
        "step 12/40",
        "loss 0.305 (from 1.200)",
        "validation 0.287",
        "161 tokens/s",
        "2:05 min left",
    ):
        assert piece in text


@pytest.mark.parametrize(
    ("state", "code"), [(TuningJob.STATE_SUCCEEDED, 0), (TuningJob.STATE_FAILED, 1), (TuningJob.STATE_CANCELLED, 1)]
)
def test_only_success_exits_with_zero(state: TuningJob.State, code: int) -> None:
    assert exit_code(TuningJob(state=state)) == code
