"""`burnish runs`: run logs in, and what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.options import sampling as asking
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.runlog import RunLogManifest
    from burnish_client.sdk.curator import CuratorClient

app = typer.Typer(help="Run logs: import, list, look into.", no_args_is_help=True)
RunLog = Annotated[
    str | None, typer.Argument(help="Id or name of a run log; without it, the newest.", show_default=False)
]
SHOWN_REJECTED = 5


def resolve_run_log(client: CuratorClient, reference: str | None) -> RunLogManifest:
    """The run log of this id, else the newest of this name, else (None) the newest of all; NotFoundError where none."""
    from burnish.errors import NotFoundError

    for manifest in client.run_logs():
        if reference is None or reference in (manifest.id, manifest.name):
            return manifest
    what = (
        f"no run log {reference!r}: `burnish runs ls` lists what there is"
        if reference
        else "no run log yet: `burnish runs import FILE`"
    )
    raise NotFoundError(what)


@app.command("import")
def import_run_log(
    file: Annotated[
        Path, typer.Argument(help="JSONL of graded runs, or a gzip of it (.gz).", exists=True, dir_okay=False)
    ],
    name: Annotated[
        str | None, typer.Option(help="Name to list it under; default: the file's.", show_default=False)
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Send a run log to the curator. Bad lines are reported with line number and reason; the good ones are kept."""
    from burnish_client.sdk.curator import CuratorClient

    name = name or asking.name_of(file)
    with CuratorClient.from_settings() as client, console.upload_progress(file) as progress:
        answer = client.import_run_log(file, name, progress)
    if json:
        return console.print_json(answer.model_dump(mode="json"))
    manifest = answer.manifest
    state = "already there" if answer.already_existed else "imported"
    console.out().print(
        f"[bold green]{state}[/] {manifest.id}  {manifest.accepted:,} lines taken, {manifest.rejected:,} rejected, {console.size(manifest.size_bytes)}"
    )
    _show_rejected(manifest)
    console.next_step(f"burnish diagnose {manifest.id}")


def _show_rejected(manifest: RunLogManifest) -> None:
    for line in manifest.rejected_lines[:SHOWN_REJECTED]:
        console.note(f"[yellow]line {line.line_number}:[/] {console.one_line(line.reason)}")
    if manifest.rejected > SHOWN_REJECTED:
        console.note(f"[dim]… and {manifest.rejected - SHOWN_REJECTED:,} more: burnish runs rejected {manifest.id}[/]")


@app.command("ls")
def list_run_logs(json: JsonFlag = False) -> None:
    """Run logs, newest first."""
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client:
        manifests = client.run_logs()
    if json:
        return console.print_json([manifest.model_dump(mode="json") for manifest in manifests])
    if not manifests:
        return console.note("no run logs yet: burnish runs import FILE")
    shown = console.table("id", "~name", ">lines", ">rejected", "~grades", "imported")
    for manifest in manifests:
        grades = ", ".join(
            f"{count:,} {grade}" for grade, count in sorted(manifest.grades.items(), key=lambda item: -item[1])
        )
        shown.add_row(
            manifest.id,
            manifest.name,
            f"{manifest.accepted:,}",
            f"{manifest.rejected:,}",
            console.one_line(grades),
            console.when(manifest.created_at),
        )
    console.show_table(shown)


@app.command("show")
def show_run_log(
    run_log: RunLog = None,
    label: Annotated[str | None, typer.Option(help="Only runs with this failure label.", show_default=False)] = None,
    grade: Annotated[str | None, typer.Option(help="Only runs with this grade.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="Rows to show.", min=0, max=1000)] = 10,
    offset: Annotated[int, typer.Option(help="Rows to leave out first.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """A run log's manifest and some of its rows."""
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client:
        manifest = resolve_run_log(client, run_log)
        page = client.run_log_rows(manifest.id, offset=offset, limit=limit, label=label, grade=grade) if limit else None
    rows = page.rows if page else []
    if json:
        whole = {
            "manifest": manifest.model_dump(mode="json"),
            "rows": [row.model_dump(mode="json") for row in rows],
            "total": page.total if page else None,
        }
        return console.print_json(whole)
    console.out().print(
        console.facts(
            [
                ("id", manifest.id),
                ("name", manifest.name),
                ("imported", console.when(manifest.created_at)),
                (
                    "lines",
                    f"{manifest.accepted:,} taken, {manifest.rejected:,} rejected, {console.size(manifest.size_bytes)}",
                ),
                ("grades", ", ".join(f"{count:,} {name}" for name, count in manifest.grades.items())),
            ]
        )
    )
    _show_rejected(manifest)
    if page:
        shown = console.table(
            "~question",
            "grade",
            "~label",
            "~answer",
            title=f"rows {offset + 1}–{offset + len(rows)} of {page.total:,}" if rows else "no rows",
        )
        for row in rows:
            shown.add_row(
                console.one_line(row.question_id),
                row.grade,
                console.one_line(row.failure_label),
                console.one_line(row.answer)[:200],
            )
        console.show_table(shown)


@app.command("rejected")
def list_rejected(run_log: RunLog = None, json: JsonFlag = False) -> None:
    """Every line that was not taken, with its number and the reason; --json prints one a line."""
    from burnish_client.sdk.curator import CuratorClient

    out = console.out()
    with CuratorClient.from_settings() as client:
        for line in client.rejected_lines(resolve_run_log(client, run_log).id):
            if json:
                console.print_json_line(line.model_dump(mode="json"))
            else:
                out.print(f"[yellow]line {line.line_number}:[/] {console.one_line(line.reason)}", soft_wrap=True)
