"""`burnish review`: export the file that a person fills with corrections, and import it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import burnish_client
from burnish.errors import PreconditionError
from burnish_client.cli.options.common import OutputFile, RunLog, RunLogOption, SliceOption
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.runlog import ReviewImport

app = typer.Typer(help="Corrections: export a review file, import the corrected one.", no_args_is_help=True)
SHOWN_REJECTED = 10


@app.command("export")
def export_review(
    run_log: RunLog = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Failure label; repeat for more. Default: every candidate cluster.")
    ] = None,
    slice: SliceOption = None,
    prefill: Annotated[
        Literal["expected"] | None,
        typer.Option(help="Fill in the expected answer of each question without a correction."),
    ] = None,
    output: OutputFile = None,
) -> None:
    """Write one line for each failed question (JSONL), with an empty `corrected_output` to fill in."""
    from burnish.jsonl import to_jsonl

    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        labels = label or [
            cluster.label for cluster in client.diagnosis(run_log_id, slice or []).clusters if cluster.candidate
        ]
        if not labels:
            raise PreconditionError(
                f"run log {run_log_id} has no candidate cluster: `burnish diagnose {run_log_id}` says why, --label chooses one anyway"
            )
        items = client.export_review(run_log_id, labels, slice or [], prefill)
    lines = console.write_output([to_jsonl(items)], output)
    reviewed = sum(1 for item in items if item.earlier_correction)
    if output:
        console.note(
            f"[bold green]wrote[/] {output}: {lines:,} questions of {', '.join(labels)}; {reviewed:,} have a correction already"
        )
        console.note(
            "Fill `corrected_output` with the answer that the model should have given; leave it empty to skip the line. "
            "Emptying an earlier correction takes it back."
        )
        console.next_step(f"burnish review import {output} --run-log {run_log_id}")
        console.note(f"[dim]or in a browser:[/] {client.review_page_url(run_log_id, labels, slice or [])}")


@app.command("import")
def import_review(
    file: Annotated[Path, typer.Argument(help="The filled review file (JSONL).", exists=True, dir_okay=False)],
    run_log: RunLogOption = None,
    json: JsonFlag = False,
) -> None:
    """Send corrections to the curator."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        answer = client.import_review(run_log_id, file)
    if json:
        return console.print_json(answer)
    console.out().print(
        f"[bold green]{answer.accepted:,} corrections[/] for run log {run_log_id}: "
        f"{answer.changed:,} changed earlier ones; {answer.removed:,} taken back; {answer.empty:,} lines still empty, {len(answer.rejected_lines):,} rejected"
    )
    for line in answer.rejected_lines[:SHOWN_REJECTED]:
        console.note(f"[yellow]{file}, line {line.line_number}:[/] {console.one_line(line.reason)}")
    if answer.accepted:
        labels = "".join(f" --label {label}" for label in _corrected_labels(file, answer))
        console.next_step(f"burnish dataset build NAME --run-log {run_log_id}{labels}")


def _corrected_labels(file: Path, answer: ReviewImport) -> list[str]:
    """The failure labels of the corrections that were accepted, in the file's order."""
    from burnish.schemas.runlog import ReviewItem

    rejected = {line.line_number for line in answer.rejected_lines}
    numbered = enumerate(file.read_bytes().splitlines(), start=1)
    items = [
        ReviewItem.model_validate_json(line) for number, line in numbered if line.strip() and number not in rejected
    ]
    return list(dict.fromkeys(item.failure_label for item in items if item.corrected_output))


@app.command("rm")
def remove_review(
    run_log: Annotated[str, typer.Argument(help="Id or name of the run log; of several with one name, the newest.")],
) -> None:
    """Remove every correction of a run log for good. Refused while a dataset was built from them."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        removed = client.remove_review(run_log_id)
    console.out().print(f"[bold green]removed[/] {removed:,} corrections of run log {run_log_id}")
