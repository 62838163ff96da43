"""`burnish dataset`: build, list, show, compare and export dataset versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import DATASET_HELP, OutputFile, RunLogOption, SliceOption, grouped, option
from burnish_client.cli.options.dataset import SplitOptions, dataset_spec
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import data_text

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetManifest, ExportForm

app = typer.Typer(help="Dataset versions: build, list, show, compare, export.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help=DATASET_HELP)]


class BuildOptions(SplitOptions):
    """From what a dataset version is built, and how."""

    label: list[str] = option(..., "Failure label whose corrected questions are targeted; repeat for more.")
    run_log: RunLogOption = None
    slice: SliceOption = None
    format: Literal["sft", "dpo", "kto"] = option(
        "sft", "sft: correct answers; dpo: correct against wrong; kto: single answers, wanted or not."
    )
    anchor_pool_share: float = option(0.5, "Share of passing questions that anchors may come from.")
    benchmark: str | None = option(
        None, "Benchmark whose other questions are guarded against leakage.", metavar="NAME[@VERSION]"
    )
    source: Literal["human", "teacher"] = option(
        "human",
        "Whose corrections. teacher: where nobody has decided, also answers of `burnish review suggest` that a grader passes.",
    )
    take_ungraded: bool = option(
        False, "With --source teacher: also answers that nothing has graded.", names=["--take-ungraded"]
    )
    preferences: Literal["keep", "drop"] = option(
        "keep", "Comparisons (dpo) and thumbs (kto), as rows where there is no correction."
    )
    near_duplicates: Literal["drop", "keep"] = option(
        "drop", "Questions that ask nearly the same: on one side of the split, and of rows with one answer, one."
    )
    contamination: Literal["drop", "warn"] = option("drop", "Rows that ask nearly what the benchmark asks.")
    paraphrases: Literal["warn", "drop", "off"] = option(
        "warn", "Rows that may ask what the benchmark asks in other words."
    )
    secrets: Literal["drop", "mask", "keep"] = option("drop", "Rows with keys, tokens or passwords in their text.")
    personal_data: Literal["keep", "mask", "drop"] = option(
        "keep", "Rows with e-mail addresses, IBANs, cards, telephone numbers or IP addresses in their text."
    )
    seed: int = option(0, "Seed of the split. The same seed gives the same version.")
    json: JsonFlag = False


@app.command("build")
@grouped
def build_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset: a-z 0-9 . _ -")], options: BuildOptions
) -> None:
    """Build a dataset version from corrections and anchor examples, with a held-out share that is never trained on."""
    with burnish_client.CuratorClient.from_settings() as client:
        guarded = client.benchmark(*console.name_and_version(options.benchmark)) if options.benchmark else None
        spec = dataset_spec(
            options,
            name=name,
            run_log_id=client.find_run_log(options.run_log).id,
            labels=options.label,
            slices=options.slice or [],
            format=options.format,
            anchor_pool_share=options.anchor_pool_share,
            benchmark=f"{guarded.name}/{guarded.version}" if guarded else None,
            seed=options.seed,
            source=options.source,
            take_ungraded=options.take_ungraded,
            preferences=options.preferences == "keep",
            near_duplicates=options.near_duplicates,
            contamination=options.contamination,
            paraphrases=options.paraphrases,
            secrets=options.secrets,
            personal_data=options.personal_data,
        )
        with console.working("building the dataset"):
            manifest = client.build_dataset(spec)
    if options.json:
        return console.print_json(manifest)
    console.out().print(f"[bold green]built[/] {manifest.name}@{manifest.version}")
    data_text.show_dataset(manifest)
    reference = f"{manifest.name}@{manifest.version}"
    console.next_step(f"burnish train {manifest.spec.format} --dataset {reference} --follow")
    if guarded is None:
        draft = f"burnish benchmark draft {manifest.spec.run_log_id} --dataset {reference} --out benchmark.jsonl"
        console.note(f"[dim]no benchmark yet?[/] {draft}")


@app.command("ls")
def list_datasets(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.")] = None,
    json: JsonFlag = False,
) -> None:
    """List dataset versions, newest first."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifests = client.datasets(name)
    columns = ("~name", "version", "format", ">train", ">valid.", ">held out", "built")
    empty = "no datasets yet: burnish dataset build NAME --label LABEL"
    console.show_models(manifests, _row, *columns, json=json, empty=empty)


def _row(manifest: DatasetManifest) -> list[str]:
    counts = (str(manifest.counts.train), str(manifest.counts.validation), str(manifest.counts.held_out))
    return [manifest.name, manifest.version, manifest.spec.format, *counts, console.when(manifest.created_at)]


@app.command("show")
def show_dataset(
    dataset: Reference,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Question by question: what was left out, masked or doubted, and why.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Show a dataset version: where it came from, what is in it, what was left out and why."""
    with burnish_client.CuratorClient.from_settings() as client:
        name, version = console.name_and_version(dataset)
        if left_out:
            return data_text.show_left_out(client.left_out(name, version), json=json)
        manifest = client.dataset(name, version)
    console.show(manifest, data_text.show_dataset, json=json)


@app.command("diff")
def diff_datasets(
    before: Annotated[str, typer.Argument(metavar="A[@VERSION]", help=DATASET_HELP)],
    after: Annotated[str, typer.Argument(metavar="B[@VERSION]", help=DATASET_HELP)],
    json: JsonFlag = False,
) -> None:
    """Show what B has that A has not: rows added, removed and changed, the split, the spec, and counts by label and slice."""
    from burnish_client.sdk.dataset_diff import diff_datasets

    with burnish_client.CuratorClient.from_settings() as client:
        pair = [client.dataset(*console.name_and_version(name)) for name in (before, after)]
        found = diff_datasets(client, *pair)
    console.show(found, data_text.show_diff, json=json)


@app.command("export")
def export_dataset(
    dataset: Reference,
    form: Annotated[
        Literal["rows", "prompt-completion", "openai-messages", "dpo", "kto", "together", "vertex", "folder"],
        typer.Option(help="Format of the rows; folder: Parquet of both splits, for datasets.load_dataset."),
    ] = "openai-messages",
    split: Annotated[Literal["train", "validation"], typer.Option(help="Which rows.")] = "train",
    output: OutputFile = None,
) -> None:
    """Write a split as JSONL in another tool's format, or the whole version as a folder."""
    name, version = console.name_and_version(dataset)
    if form == "folder" and output is None:
        raise InvalidInputError("--form folder writes several files: give the folder with --out")
    with burnish_client.CuratorClient.from_settings() as client:
        version = version or client.dataset(name).version
        if form == "folder" and output:
            for file in client.export_folder(name, version, output):
                console.note(f"[bold green]wrote[/] {console.path_text(file)}")
            return
        lines = console.write_output(client.export_dataset(name, version, cast("ExportForm", form), split), output)
    if output:
        console.note(f"[bold green]wrote[/] {output}: {lines:,} {split} rows of {name}@{version} as {form}")


@app.command("rm")
def remove_dataset(
    dataset: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A version; `ls` lists them.")],
) -> None:
    """Remove a dataset version for good. Refused while an adapter, an evaluation or a job rests on it."""
    name, version = console.version_of(dataset)
    with burnish_client.TrainerClient.from_settings() as trainer:
        trainer.check_unused("dataset", name, version)
    with burnish_client.CuratorClient.from_settings() as client:
        client.remove_dataset(name, version)
    console.out().print(f"[bold green]removed[/] dataset {name}@{version}")
