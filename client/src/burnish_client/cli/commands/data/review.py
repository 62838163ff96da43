"""`burnish review`: export the file that a person fills with corrections, and import it."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import burnish_client
from burnish.errors import PreconditionError
from burnish_client.cli.options.common import OutputFile, RunLog, RunLogOption, SliceOption
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.runlog import ReviewImport, ReviewItem

app = typer.Typer(help="Reviews: where they stand, and as files for other tools.", no_args_is_help=True)
SHOWN_REJECTED = 10
Labels = Annotated[list[str] | None, typer.Option("--label", help="Only this failure label; repeat for more.")]


class State(StrEnum):
    """As burnish.schemas.review.STATES."""

    OPEN = "open"
    CORRECTED = "corrected"
    ACCEPTED = "accepted"
    COMPARED = "compared"
    RATED = "rated"
    UNSURE = "unsure"
    DISMISSED = "dismissed"
    FLAGGED = "flagged"


@app.command("export")
def export_review(
    run_log: RunLog = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Failure label; repeat for more. Default: every candidate cluster.")
    ] = None,
    slice: SliceOption = None,
    prefill: Annotated[
        Literal["expected", "suggestion", "any-suggestion"] | None,
        typer.Option(
            help="Fill in, where nothing was decided, the expected answer, a suggestion that passed its grader, or one that has not failed it."
        ),
    ] = None,
    state: Annotated[
        list[State] | None, typer.Option(help="Only questions that stand so; repeat for more. Default: all.")
    ] = None,
    output: OutputFile = None,
) -> None:
    """Write one line for each failed question, with an empty `corrected_output` to fill in: JSONL, or CSV for --out FILE.csv."""
    from burnish.jsonl import to_jsonl
    from burnish_client.sdk.review_files import is_csv, to_csv

    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        labels = label or [
            cluster.label for cluster in client.diagnosis(run_log_id, slice or []).clusters if cluster.candidate
        ]
        if not labels:
            raise PreconditionError(
                f"run log {run_log_id} has no candidate cluster: `burnish diagnose {run_log_id}` says why, --label chooses one anyway"
            )
        items = client.export_review(run_log_id, labels, slice or [], prefill, [each.value for each in state or []])
    console.write_output([to_csv(items) if is_csv(output) else to_jsonl(items)], output)
    decided = sum(1 for item in items if item.state not in ("open", None))
    if output:
        console.note(
            f"[bold green]wrote[/] {output}: {len(items):,} questions of {', '.join(labels)}; {decided:,} are decided already"
        )
        console.note(
            "Fill `corrected_output` with the answer that the model should have given, or `preference` (a, b, tie or neither of "
            "`answer_a` and `answer_b`; up or down of `original_answer`), or set `state` to dismissed, unsure or "
            "flagged with a `reason`; leave a line as it is to skip it. Emptying an earlier correction or preference takes it back."
        )
        console.next_step(f"burnish review import {output} --run-log {run_log_id}")
        console.note(f"[dim]or in a browser:[/] {client.review_page_url(run_log_id, labels, slice or [])}")


@app.command("import")
def import_review(
    file: Annotated[Path, typer.Argument(help="The filled review file (JSONL, or CSV).", exists=True, dir_okay=False)],
    run_log: RunLogOption = None,
    author: Annotated[
        str | None, typer.Option(help="Who decided. Default: your user name.", show_default=False)
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Send what was decided to the curator. What somebody else decided since the export is not overwritten, but named."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        answer = client.import_review(run_log_id, file, _user_name() if author is None else author)
    if json:
        return console.print_json(answer)
    console.out().print(
        f"[bold green]{answer.accepted:,} corrections[/] for run log {run_log_id}: "
        f"{answer.changed:,} changed earlier ones; {answer.preferred:,} preferences, {answer.removed:,} taken back, {answer.set_aside:,} set aside; {answer.empty:,} lines still empty, {len(answer.rejected_lines):,} rejected"
    )
    for line in answer.rejected_lines[:SHOWN_REJECTED]:
        console.note(
            f"[yellow]{file}, {'item' if file.suffix.lower() == '.csv' else 'line'} {line.line_number}:[/] {console.one_line(line.reason)}"
        )
    if answer.accepted or answer.preferred:
        _say_what_to_build(run_log_id, _taken_items(file, answer))


def _say_what_to_build(run_log_id: str, items: list[ReviewItem]) -> None:
    """The dataset that most of the items make rows of, and which other format has a use for the rest."""
    from burnish_client.sdk.review_files import formats_of

    formats = formats_of(items)
    if not formats:
        return console.note("Ties and `neither` make no rows of a dataset: somebody must prefer, rate or correct.")
    first = next(iter(formats))
    useful = {each.failure_label: None for each in items if formats_of([each]).keys() & {"sft", first}}
    labels = "".join(f" --label {quote(label)}" for label in useful)
    chosen = "" if first == "sft" else f" --format {first}"
    console.next_step(f"burnish dataset build NAME --run-log {run_log_id}{labels}{chosen}")
    for other in formats:
        if other not in (first, "sft"):
            what = "Comparisons" if other == "dpo" else "Thumbs"
            console.note(f"{what} ({formats[other]:,}) make rows with --format {other} only.")


def _taken_items(file: Path, answer: ReviewImport) -> list[ReviewItem]:
    """The corrections and preferences that were accepted, in the file's order."""
    from burnish.schemas.runlog import ReviewItem
    from burnish_client.sdk.review_files import from_csv, is_csv

    content = file.read_bytes()
    rejected = {line.line_number for line in answer.rejected_lines}
    if is_csv(file):
        items = [item for number, item in enumerate(from_csv(content), start=1) if number not in rejected]
    else:
        numbered = enumerate(content.splitlines(), start=1)
        items = [
            ReviewItem.model_validate_json(line) for number, line in numbered if line.strip() and number not in rejected
        ]
    return [item for item in items if item.corrected_output.strip() or item.preference]


def _user_name() -> str:
    """Of whoever runs this; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


@app.command("status")
def review_status(
    run_log: RunLog = None, label: Labels = None, slice: SliceOption = None, json: JsonFlag = False
) -> None:
    """Show where a review stands: questions by state, time spent, and how far second reviewers agree."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        progress = client.review_progress(run_log_id, label or [], slice or [])
        page = client.review_page_url(run_log_id, label or [], slice or [])
    if json:
        return console.print_json(progress)
    table = console.table("state", ">questions")
    for state, count in progress.states.items():
        table.add_row(state, f"{count:,}")
    console.out().print(table)
    spent = progress.effort
    if spent.items:
        console.out().print(
            f"{spent.items:,} items took {spent.reviewers} {'person' if spent.reviewers == 1 else 'people'} {spent.seconds / 60:.1f} min"
            + (f"; {progress.median_seconds:g} s an item of late" if progress.median_seconds is not None else "")
        )
    if progress.agreement:
        alpha = "not to be told" if progress.agreement.alpha is None else f"{progress.agreement.alpha:.2f}"
        console.out().print(
            f"second opinions: {progress.agreement.same:,} of {progress.agreement.items:,} the same; Krippendorff's alpha {alpha}"
        )
    if progress.suggestions:
        told = ", ".join(f"{count:,} {grade}" for grade, count in sorted(progress.suggestions.items()))
        console.out().print(f"suggestions of other models: {told}")
    console.note(f"[dim]in a browser:[/] {page}")


@app.command("rm")
def remove_review(
    run_log: Annotated[str, typer.Argument(help="Id or name of the run log; of several with one name, the newest.")],
) -> None:
    """Remove the review of a run log, with its history, for good. Refused while a dataset was built from them."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        removed = client.remove_review(run_log_id)
    console.out().print(f"[bold green]removed[/] {removed:,} corrections of run log {run_log_id}")
