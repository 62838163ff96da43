"""`burnish runs`: import run logs, list them, look into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import RunLog
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import data_text, import_text

if TYPE_CHECKING:
    from burnish.curation.log_grading import LogGrader
    from burnish.schemas.runlog import RunLogManifest
    from burnish_client.sdk.curator import CuratorClient

app = typer.Typer(help="Run logs: import, list, show, remove.", no_args_is_help=True)


@app.command("import")
def import_run_log(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Run log, traces or chats: JSONL, JSON, CSV, Parquet or .eval, packed or not. Give a format's files together.",
            exists=True,
            dir_okay=False,
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="auto, burnish, chat, openai, langfuse, langsmith, otel, openinference, mlflow, helicone, inspect or promptfoo.",
        ),
    ] = "auto",
    name: Annotated[str | None, typer.Option(help="Name to list it under; default: the file's.")] = None,
    grade: Annotated[
        list[str] | None,
        typer.Option(help="What a grade that is no known word means, as in `excellent=correct`; repeat for more."),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help="What a score means: `NAME:true=correct,false=incorrect`, `NAME:>=0.8=correct` or `NAME:ignore`; repeat for more."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(help='JSON file of such rules: {"NAME": "true=correct"}.', exists=True, dir_okay=False),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Score whose words name how an answer failed; repeat for more.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what it would come to, and import nothing.")] = False,
    json: JsonFlag = False,
) -> None:
    """Send runs to the curator, from a run log or from the traces of another tool.

    What a file holds is recognised and said. What cannot be read is reported with its place and the reason; the rest is kept.
    """
    from burnish_client.evaluation.request import name_of
    from burnish_client.sdk import traces

    options = traces.TraceOptions(source, score or [], scores, label or [], grade or [])
    if preview:
        with console.working("reading"):
            report, rules = traces.preview(files, options)
        return import_text.show_preview(report, rules, json)
    name = name or name_of(files[0])
    with burnish_client.CuratorClient.from_settings() as client, console.upload_progress(files[0]) as progress:
        answer, made = traces.import_traces(client, files, name, options, progress)
    if json:
        return console.print_json(answer)
    if made is not None:
        import_text.show_report(made)
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
        data_text.show_rows(page, offset)


@app.command("grade")
def grade_run_log(
    run_log: RunLog = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Benchmark whose answers and graders grade the lines that ask its questions.")
    ] = None,
    grader: Annotated[
        str | None, typer.Option(help="Grader for every line that has an expected answer, as in `contains`.")
    ] = None,
    signatures: Annotated[
        bool, typer.Option(help="Look for empty, cut off, broken, refused, repeated and foreign answers.")
    ] = True,
    expects_json: Annotated[
        bool | None,
        typer.Option("--expect-json/--expect-text", help="Whether answers must be JSON; default: each prompt says it."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="JSON schema that every answer must meet.", exists=True, dir_okay=False)
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="URL#NAME", help="Judge model for lines that nothing else grades; needs --rubric."),
    ] = None,
    rubric: Annotated[
        Path | None, typer.Option(help="Text file: what makes an answer pass.", exists=True, dir_okay=False)
    ] = None,
    judge_most: Annotated[int, typer.Option(help="Most lines to judge: the budget.", min=1)] = 1000,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Of `burnish judge calibrate`; without it the grades say that the judge is uncalibrated.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    judge_token: Annotated[
        str | None, typer.Option(help="Bearer token of the judge's endpoint.", envvar="BURNISH_JUDGE_TOKEN")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the graded run log; default: the old one's.")] = None,
    json: JsonFlag = False,
) -> None:
    """Give lines without a grade one, and failures without a label a label, as a new run log. The old one stays.

    What has a grade keeps it. An answer in which nothing is found stays ungraded. A call that was cut short goes on when it is called again.
    """
    from burnish.curation.log_grading import LogGrader, read_schema
    from burnish.schemas.benchmark import GraderSpec
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.sdk.log_grading import grade_run_log as grade_log

    with burnish_client.CuratorClient.from_settings() as client:
        manifest = client.find_run_log(run_log)
        rules = LogGrader(
            questions=tuple(client.benchmark_questions(benchmark)) if benchmark else (),
            spec=GraderSpec(name=grader) if grader else None,
            signatures=signatures,
            expects_json=expects_json,
            schema=read_schema(schema) if schema else None,
        )
        folder = ClientSettings().home / "grading"
        if judge is not None:
            rules, replies = _with_judge(
                client, manifest, rules, folder, judge, rubric, judge_most, calibration, judge_token
            )
        with console.working("grading"):
            done = grade_log(client, manifest, rules, name or manifest.name, folder)
        if judge is not None:
            replies.unlink(missing_ok=True)
    if json:
        found = [{"grade": grade, "failure_label": label, "lines": n} for (grade, label), n in done.found.most_common()]
        return console.print_json(
            {"import": done.answer, "lines": done.lines, "changed": done.changed, "found": found, "grades": done.grades}
        )
    import_text.show_graded(done, manifest.id)
    if done.answer is not None:
        console.next_step(f"burnish diagnose {done.answer.manifest.id}")


def _with_judge(
    client: CuratorClient,
    manifest: RunLogManifest,
    rules: LogGrader,
    folder: Path,
    judge: str,
    rubric: Path | None,
    most: int,
    calibration: Path | None,
    token: str | None,
) -> tuple[LogGrader, Path]:
    """The rules with what the judge says of the lines that they leave, and the file of its replies, for the next call if this one is cut short."""
    import asyncio
    from dataclasses import replace

    from burnish.verdict import read_calibration
    from burnish_client.cli.views.evaluation import answers
    from burnish_client.evaluation.judging.run_logs import LineJudge, judge_lines
    from burnish_client.evaluation.request import JudgeSettings, endpoint_and_model

    endpoint, model = endpoint_and_model(judge, token, "judge")
    text = rubric.read_text() if rubric is not None else ""
    if not text.strip():
        raise InvalidInputError("--judge needs --rubric FILE: write what makes an answer pass", field="rubric")
    measured = read_calibration(calibration) if calibration else None
    line_judge = LineJudge(JudgeSettings(endpoint, model), text, most, measured)
    folder.mkdir(parents=True, exist_ok=True)
    replies = folder / f"{manifest.id}-judge.replies.jsonl"
    with answers.resumable("judgements", replies) as progress:
        judged = asyncio.run(judge_lines(client.run_log_lines(manifest.id), rules, line_judge, replies, progress))
    import_text.show_judged(judged, measured is not None)
    return replace(rules, judged=judged.verdicts), replies


@app.command("cut")
def cut_traces(
    name: Annotated[
        str | None, typer.Argument(help="Service whose traces become a run log now; without it, what waits is listed.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make a run log of the traces that exporters sent to /v1/traces, before its time; without a name, list what waits."""
    with burnish_client.CuratorClient.from_settings() as client:
        if name is None:
            waiting = client.waiting_traces()
            if json:
                return console.print_json(waiting)
            table = console.table("~service", ">requests", ">size", "oldest")
            for one in waiting:
                table.add_row(
                    console.one_line(one["name"]),
                    f"{one['requests']:,}",
                    console.size(one["size_bytes"]),
                    one["oldest"][:19],
                )
            return console.show_table(table) if waiting else console.note("no traces wait")
        answer = client.cut_traces(name)
    if json:
        return console.print_json(answer)
    console.out().print(f"[bold green]made[/] {answer.manifest.id}  {answer.manifest.accepted:,} lines")
    console.next_step(f"burnish diagnose {answer.manifest.id}")


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
