"""`burnish benchmark`: fixed questions with known-good answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burnish_client.cli.options.evaluation import MOST_CONCURRENCY, Concurrency, MaxTokens, Seed, Temperature
from burnish_client.cli.views import answers, console
from burnish_client.cli.views.console import JsonFlag

app = typer.Typer(help="Benchmarks: import, list, show, run.", no_args_is_help=True)
SHOWN_QUESTIONS = 5


@app.command("import")
def import_benchmark(
    file: Annotated[
        Path, typer.Argument(help="JSONL of questions with expected answers and graders.", exists=True, dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="Default: the file's name.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """Send a benchmark to the curator."""
    from burnish_client import CuratorClient
    from burnish_client.evaluation.request import name_of

    name = name or name_of(file)
    with CuratorClient.from_settings() as client, console.upload_progress(file) as progress:
        manifest = client.import_benchmark(file, name, progress)
    if json:
        return console.print_json(manifest)
    slices = ", ".join(f"{slice} {count:,}" for slice, count in manifest.slices.items())
    console.out().print(
        f"[bold green]imported[/] {manifest.name}@{manifest.version}  {manifest.questions:,} questions: {slices}",
        soft_wrap=True,
    )


@app.command("ls")
def list_benchmarks(json: JsonFlag = False) -> None:
    """List benchmark versions, newest first."""
    from burnish_client import CuratorClient

    with CuratorClient.from_settings() as client:
        manifests = client.benchmarks()
    if json:
        return console.print_json(manifests)
    if not manifests:
        return console.note("no benchmarks yet: burnish benchmark import FILE")
    shown = console.table("~name", "version", ">questions", "~slices", "imported")
    for manifest in manifests:
        slices = console.one_line(", ".join(f"{slice} {count}" for slice, count in manifest.slices.items()))
        shown.add_row(
            manifest.name, manifest.version, f"{manifest.questions:,}", slices, console.when(manifest.created_at)
        )
    console.show_table(shown)


@app.command("show")
def show_benchmark(
    benchmark: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Without version, the newest.")],
    json: JsonFlag = False,
) -> None:
    """Show a benchmark version and its first questions; --json has them all."""
    from burnish_client import CuratorClient

    with CuratorClient.from_settings() as client:
        manifest = client.benchmark(*console.name_and_version(benchmark))
        questions = client.benchmark_questions(manifest.name, manifest.version)
    if json:
        return console.print_json({"manifest": manifest, "questions": questions})
    pairs = [
        ("benchmark", f"{manifest.name}@{manifest.version}"),
        ("questions", f"{manifest.questions:,}"),
        ("slices", ", ".join(f"{slice} {count:,}" for slice, count in manifest.slices.items())),
        ("imported", console.when(manifest.created_at)),
    ]
    console.out().print(console.facts(pairs))
    title = f"first {min(SHOWN_QUESTIONS, len(questions))} of {len(questions)}"
    shown = console.table("~question", "~slice", "~grader", "~expected answer", title=title)
    for one in questions[:SHOWN_QUESTIONS]:
        shown.add_row(one.question_id, one.slice, one.grader.name, console.one_line(one.expected_answer))
    console.show_table(shown)


@app.command("run")
def run_benchmark(
    benchmark: Annotated[str, typer.Argument(metavar="FILE|NAME[@VERSION]", help="A file is imported first.")],
    output: Annotated[Path, typer.Option("--out", "-o", help="Run log to write (JSONL).")],
    model: Annotated[
        str | None, typer.Option(help="Base, adapter or adapter@version. Default: the base.", show_default=False)
    ] = None,
    samples: Annotated[
        int,
        typer.Option(help="Times each question is asked. A failure that repeats is no accident.", metavar="N", min=1),
    ] = 2,
    concurrency: Concurrency = MOST_CONCURRENCY,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = 0,
) -> None:
    """Ask a served model, grade its answers, and write them as a run log.

    Answers are kept beside the run log as they come: the same command after an interruption asks only what is missing.
    """
    import asyncio

    from burnish_client import CuratorClient, InferenceClient, evaluation
    from burnish_client.config.endpoints import ClientSettings

    settings = ClientSettings()
    with CuratorClient.from_settings(settings) as curator:
        manifest, questions = evaluation.read_benchmark(benchmark, curator)
    with InferenceClient.from_settings(settings) as inference:
        model = model or inference.base_model()
    answers_file = output.with_suffix(".answers.jsonl")
    console.note(f"{len(questions):,} questions of {manifest.name}@{manifest.version}: {model} × {samples}")
    side = evaluation.Side(evaluation.Endpoint.from_settings(settings), model, answers_file, samples)
    sampling = evaluation.Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed)
    with answers.resumable("answers", answers_file) as progress:
        asked = evaluation.ask_sides([side], questions, sampling=sampling, concurrency=concurrency, progress=progress)
        (given,) = asyncio.run(asked)
    lines = evaluation.make_run_log(questions, given, f"{manifest.name}-{manifest.version}")
    written = console.write_output((line.model_dump_json(exclude_none=True).encode() + b"\n" for line in lines), output)
    passed = sum(1 for line in lines if line.grade == "correct")
    ungraded = len(given) - written
    console.out().print(
        f"[bold green]wrote[/] {output}: {written:,} graded answers, {passed:,} correct; {ungraded:,} without a grade",
        soft_wrap=True,
    )
    console.next_step(f"burnish runs import {output}")
