"""`burnish benchmark`: fixed questions with known-good answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish_client.cli.options.common import grouped, option
from burnish_client.cli.options.evaluation import SamplingOptions
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.evaluation import answers

if TYPE_CHECKING:
    from burnish.schemas.benchmark import BenchmarkManifest

app = typer.Typer(help="Benchmarks: import, list, show, run.", no_args_is_help=True)
SHOWN_QUESTIONS = 5


@app.command("import")
def import_benchmark(
    file: Annotated[
        Path, typer.Argument(help="JSONL of questions with expected answers and graders.", exists=True, dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    json: JsonFlag = False,
) -> None:
    """Send a benchmark to the curator."""
    from burnish_client.evaluation.request import name_of

    name = name or name_of(file)
    with burnish_client.CuratorClient.from_settings() as client, console.upload_progress(file) as progress:
        manifest = client.import_benchmark(file, name, progress)
    if json:
        return console.print_json(manifest)
    console.out().print(
        f"[bold green]imported[/] {manifest.name}@{manifest.version}  {manifest.questions:,} questions: {_slices(manifest)}",
        soft_wrap=True,
    )


@app.command("ls")
def list_benchmarks(json: JsonFlag = False) -> None:
    """List benchmark versions, newest first."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifests = client.benchmarks()
    columns = ("~name", "version", ">questions", "~slices", "imported")
    console.show_models(manifests, _row, *columns, json=json, empty="no benchmarks yet: burnish benchmark import FILE")


def _row(manifest: BenchmarkManifest) -> list[str]:
    slices = console.one_line(_slices(manifest))
    return [manifest.name, manifest.version, f"{manifest.questions:,}", slices, console.when(manifest.created_at)]


def _slices(manifest: BenchmarkManifest) -> str:
    return ", ".join(f"{slice} {count:,}" for slice, count in manifest.slices.items())


@app.command("show")
def show_benchmark(
    benchmark: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Without version, the newest.")],
    json: JsonFlag = False,
) -> None:
    """Show a benchmark version and its first questions; --json has them all."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifest = client.benchmark(*console.name_and_version(benchmark))
        questions = client.benchmark_questions(manifest.name, manifest.version)
    if json:
        return console.print_json({"manifest": manifest, "questions": questions})
    pairs = [
        ("benchmark", f"{manifest.name}@{manifest.version}"),
        ("questions", f"{manifest.questions:,}"),
        ("slices", _slices(manifest)),
        ("imported", console.when(manifest.created_at)),
    ]
    console.out().print(console.facts(pairs))
    title = f"first {min(SHOWN_QUESTIONS, len(questions))} of {len(questions)}"
    shown = console.table("~question", "~slice", "~grader", "~expected answer", title=title)
    for one in questions[:SHOWN_QUESTIONS]:
        shown.add_row(one.question_id, one.slice, one.grader.name, console.one_line(one.expected_answer))
    console.show_table(shown)


class RunOptions(SamplingOptions):
    """Who is asked, how often, and where the answers go."""

    output: Path = option(..., "Run log to write (JSONL).", names=["--out", "-o"])
    model: str | None = option(
        None, "Base, adapter@latest, adapter@version, or adapter: its production alias. Default: the base."
    )
    samples: int = option(2, "Times each question is asked. A failure that repeats is no accident.", metavar="N", min=1)


@app.command("run")
@grouped
def run_benchmark(
    benchmark: Annotated[str, typer.Argument(metavar="FILE|NAME[@VERSION]", help="A file is imported first.")],
    options: RunOptions,
) -> None:
    """Ask a served model, grade its answers, and write them as a run log.

    Answers are kept beside the run log as they come: the same command after an interruption asks only what is missing.
    """
    import asyncio

    from burnish.jsonl import to_jsonl
    from burnish_client.evaluation.asking.ask import Side, ask_sides
    from burnish_client.evaluation.grade import make_run_log

    settings, output = burnish_client.ClientSettings(), options.output
    with burnish_client.CuratorClient.from_settings(settings) as curator:
        manifest, questions = burnish_client.read_benchmark(benchmark, curator)
    with burnish_client.InferenceClient.from_settings(settings) as inference:
        model = options.model or inference.base_model()
    answers_file = output.with_suffix(".answers.jsonl")
    console.note(f"{len(questions):,} questions of {manifest.name}@{manifest.version}: {model} × {options.samples}")
    side = Side(burnish_client.Endpoint.from_settings(settings), model, answers_file, options.samples)
    sampling = burnish_client.Sampling(options.max_tokens, options.temperature, options.seed)
    with answers.resumable("answers", answers_file) as progress:
        asked = ask_sides([side], questions, sampling=sampling, concurrency=options.concurrency, progress=progress)
        (given,) = asyncio.run(asked)
    lines = make_run_log(questions, given, f"{manifest.name}-{manifest.version}")
    written = console.write_output([to_jsonl(lines, exclude_none=True)], output)
    passed = sum(1 for line in lines if line.grade == "correct")
    console.out().print(
        f"[bold green]wrote[/] {output}: {written:,} graded answers, {passed:,} correct; {len(given) - written:,} without a grade",
        soft_wrap=True,
    )
    console.next_step(f"burnish runs import {output}")


@app.command("rm")
def remove_benchmark(
    benchmark: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A version; `ls` lists them.")],
) -> None:
    """Remove a benchmark version for good. Refused while a dataset or an evaluation rests on it."""
    name, version = console.version_of(benchmark)
    with burnish_client.CuratorClient.from_settings() as client:
        client.remove_benchmark(name, version)
    console.out().print(f"[bold green]removed[/] benchmark {name}@{version}")
