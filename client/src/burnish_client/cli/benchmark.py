"""`burnish benchmark`: fixed questions with known-good answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burnish_client.cli import console
from burnish_client.cli.console import JsonFlag

app = typer.Typer(help="Benchmarks: import, list, look into.", no_args_is_help=True)
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
    from burnish_client.curator_client import CuratorClient

    name = name or file.name.removesuffix(".gz").removesuffix(".jsonl").lower().replace(" ", "-")
    with CuratorClient.from_settings() as client, console.upload_progress(file) as progress:
        manifest = client.import_benchmark(file, name, progress)
    if json:
        return console.print_json(manifest.model_dump(mode="json"))
    slices = ", ".join(f"{slice} {count:,}" for slice, count in manifest.slices.items())
    console.out().print(
        f"[bold green]imported[/] {manifest.name}@{manifest.version}  {manifest.questions:,} questions: {slices}",
        soft_wrap=True,
    )


@app.command("ls")
def list_benchmarks(json: JsonFlag = False) -> None:
    """Benchmark versions, newest first."""
    from burnish_client.curator_client import CuratorClient

    with CuratorClient.from_settings() as client:
        manifests = client.benchmarks()
    if json:
        return console.print_json([manifest.model_dump(mode="json") for manifest in manifests])
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
    """A benchmark version and its first questions; --json has them all."""
    from burnish_client.curator_client import CuratorClient

    with CuratorClient.from_settings() as client:
        manifest = client.benchmark(*console.name_and_version(benchmark))
        questions = client.benchmark_questions(manifest.name, manifest.version)
    if json:
        whole = {
            "manifest": manifest.model_dump(mode="json"),
            "questions": [question.model_dump(mode="json") for question in questions],
        }
        return console.print_json(whole)
    out = console.out()
    out.print(
        console.facts(
            [
                ("benchmark", f"{manifest.name}@{manifest.version}"),
                ("questions", f"{manifest.questions:,}"),
                ("slices", ", ".join(f"{slice} {count:,}" for slice, count in manifest.slices.items())),
                ("imported", console.when(manifest.created_at)),
            ]
        )
    )
    shown = console.table(
        "~question",
        "~slice",
        "~grader",
        "~expected answer",
        title=f"first {min(SHOWN_QUESTIONS, len(questions))} of {len(questions)}",
    )
    for question in questions[:SHOWN_QUESTIONS]:
        shown.add_row(
            question.question_id, question.slice, question.grader.name, console.one_line(question.expected_answer)
        )
    console.show_table(shown)
