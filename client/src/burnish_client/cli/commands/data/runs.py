"""`burnish runs`: import run logs, list them, look into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish_client.cli.options.common import RunLog
from burnish_client.cli.views import console, data_text
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.runlog import RunLogManifest

app = typer.Typer(help="Run logs: import, list, show, remove.", no_args_is_help=True)


@app.command("import")
def import_run_log(
    file: Annotated[
        Path, typer.Argument(help="JSONL of graded runs, or a gzip of it (.gz).", exists=True, dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="Name to list it under; default: the file's.")] = None,
    grade: Annotated[
        list[str] | None,
        typer.Option(help="What a grade that is no known word means, as in `excellent=correct`; repeat for more."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Send a run log to the curator. Bad lines are reported with line number and reason; good ones are kept."""
    from burnish_client.evaluation.request import name_of

    name = name or name_of(file)
    with burnish_client.CuratorClient.from_settings() as client, console.upload_progress(file) as progress:
        answer = client.import_run_log(file, name, progress, grade or [])
    if json:
        return console.print_json(answer)
    manifest = answer.manifest
    state = "already there" if answer.already_existed else "imported"
    console.out().print(
        f"[bold green]{state}[/] {manifest.id}  {manifest.accepted:,} lines taken, {manifest.rejected:,} rejected, {console.size(manifest.size_bytes)}"
    )
    data_text.show_rejected(manifest)
    data_text.show_grades(manifest)
    console.next_step(f"burnish diagnose {manifest.id}")


@app.command("ls")
def list_run_logs(json: JsonFlag = False) -> None:
    """List run logs, newest first."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifests = client.run_logs()
    columns = ("id", "~name", ">lines", ">rejected", "~grades", "imported")
    console.show_models(manifests, _row, *columns, json=json, empty="no run logs yet: burnish runs import FILE")


def _row(manifest: RunLogManifest) -> list[str]:
    commonest = sorted(manifest.grades.items(), key=lambda item: -item[1])
    grades = console.one_line(", ".join(f"{count:,} {grade}" for grade, count in commonest))
    counts = f"{manifest.accepted:,}", f"{manifest.rejected:,}"
    return [manifest.id, manifest.name, *counts, grades, console.when(manifest.created_at)]


@app.command("show")
def show_run_log(
    run_log: RunLog = None,
    label: Annotated[str | None, typer.Option(help="Only runs with this failure label.")] = None,
    grade: Annotated[str | None, typer.Option(help="Only runs with this grade.")] = None,
    limit: Annotated[int, typer.Option(help="Rows to show.", min=0, max=1000)] = 10,
    offset: Annotated[int, typer.Option(help="Rows to leave out first.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Show a run log's manifest and some of its rows."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifest = client.find_run_log(run_log)
        page = client.run_log_rows(manifest.id, offset=offset, limit=limit, label=label, grade=grade) if limit else None
    if json:
        return console.print_json(
            {"manifest": manifest, "rows": page.rows if page else [], "total": page.total if page else None}
        )
    data_text.show_run_log(manifest)
    if page:
        data_text.show_rows(page.rows, offset, page.total)


@app.command("rejected")
def list_rejected(run_log: RunLog = None, json: JsonFlag = False) -> None:
    """List every rejected line with its number and the reason; with --json, one object a line."""
    out = console.out()
    with burnish_client.CuratorClient.from_settings() as client:
        for line in client.rejected_lines(client.find_run_log(run_log).id):
            if json:
                console.print_json(line, indent=None)
            else:
                out.print(f"[yellow]line {line.line_number}:[/] {console.one_line(line.reason)}", soft_wrap=True)


@app.command("rm")
def remove_run_log(
    run_log: Annotated[str, typer.Argument(help="Id or name of a run log; of several with one name, the newest.")],
) -> None:
    """Remove a run log and its corrections for good. Refused while a dataset was built from it."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifest = client.find_run_log(run_log)
        client.remove_run_log(manifest.id)
    console.out().print(f"[bold green]removed[/] run log {manifest.id} ({console.one_line(manifest.name)})")
