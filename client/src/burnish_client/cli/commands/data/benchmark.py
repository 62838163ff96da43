"""`burnish benchmark`: fixed questions with known-good answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish.errors import InvalidInputError, PreconditionError
from burnish_client.cli.options.common import OutputFile, RunLog, grouped, option
from burnish_client.cli.options.evaluation import SamplingOptions
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import data_text
from burnish_client.cli.views.evaluation import answers

if TYPE_CHECKING:
    from burnish.schemas.benchmark import BenchmarkManifest, GraderSpec
    from burnish.schemas.runlog import ReviewItem
    from burnish_client.sdk.curator import CuratorClient

app = typer.Typer(help="Benchmarks: draft from a run log, import, list, show, run.", no_args_is_help=True)
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


@app.command("draft")
def draft_benchmark(
    run_log: RunLog = None,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="Leave out open questions that this dataset trains on."),
    ] = None,
    grader: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|JSON",
            help='As `exact`, or {"name": "one_of", "args": {"labels": ["a", "b"]}}. Default: json_fields for JSON objects, else contains.',
        ),
    ] = None,
    output: OutputFile = None,
) -> None:
    """Write a benchmark file from a run log: its questions with the answers that are known to be right.

    That is a reviewer's answer, else the log's expected answer, else that of a run that passed. Questions that only failed come first: fill in their answers.
    """
    from burnish.curation.benchmarks import drafting
    from burnish.jsonl import to_jsonl
    from burnish.runlogs.parsing import parse_line

    spec = _grader(grader)
    with burnish_client.CuratorClient.from_settings() as client:
        manifest = client.find_run_log(run_log)
        split = client.dataset(*console.name_and_version(dataset)).split if dataset else None
        trained = {*split.train, *split.validation, *split.anchors} if split else set()
        reviewed = {item.question_id: item for item in _corrected(client, manifest.id)}
        lines = (parse_line(content) for content in client.run_log_lines(manifest.id))
        with console.working("reading the run log"):
            draft = drafting.draft_benchmark(lines, reviewed, trained)
    if not draft.known:
        raise PreconditionError(
            f"run log {manifest.id} has no question with a known answer, nor one that failed: `burnish runs grade {manifest.id}` "
            "grades it, and `burnish runs import` takes thumbs and scores"
        )
    console.write_output([to_jsonl(draft.questions(spec), exclude_none=True)], output)
    if output:
        data_text.note_draft(draft, output)
        console.next_step(f"burnish benchmark import {output}")


def _corrected(client: CuratorClient, run_log_id: str) -> list[ReviewItem]:
    """What was corrected or accepted, under whatever label."""
    from burnish.schemas.review import CORRECTIONS
    from burnish.schemas.runlog import UNLABELLED

    labels = [cluster.label for cluster in client.diagnosis(run_log_id).clusters if cluster.label != UNLABELLED]
    return client.export_review(run_log_id, labels, states=CORRECTIONS) if labels else []


def _grader(text: str | None) -> GraderSpec | None:
    """A grader by name, or as a line of a benchmark has it."""
    from pydantic import ValidationError

    from burnish.errors import validation_problems
    from burnish.grading.registry import arguments
    from burnish.schemas.benchmark import GraderSpec

    if text is None:
        return None
    try:
        spec = GraderSpec.model_validate_json(text) if text.lstrip().startswith("{") else GraderSpec(name=text)
    except ValidationError as error:
        raise InvalidInputError(f"--grader: {validation_problems(error, whole='grader')}", field="grader") from error
    arguments(spec)
    return spec


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
