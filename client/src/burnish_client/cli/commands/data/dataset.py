"""`burnish dataset`: build, list, show and export dataset versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from burnish_client.cli.options.common import OutputFile, RunLogOption
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetManifest
    from burnish_client import CuratorClient

app = typer.Typer(help="Dataset versions: build, list, show, export.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")]


@app.command("build")
def build_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset: a-z 0-9 . _ -")],
    label: Annotated[
        list[str], typer.Option(help="Failure label whose corrected questions are targeted; repeat for more.")
    ],
    run_log: RunLogOption = None,
    format: Annotated[
        Literal["sft", "dpo", "kto"],
        typer.Option(help="sft: correct answers; dpo: correct against wrong; kto: single answers, wanted or not."),
    ] = "sft",
    held_out_share: Annotated[
        float, typer.Option(help="Share of targeted questions kept for evaluation, in (0,1).")
    ] = 0.3,
    validation_share: Annotated[
        float, typer.Option(help="Share of training rows for validation loss, in [0,1).")
    ] = 0.1,
    anchor_ratio: Annotated[float, typer.Option(help="Anchor examples per correction (sft and kto), 0 to 10.")] = 0.5,
    anchor_pool_share: Annotated[
        float, typer.Option(help="Share of passing questions that anchors may come from.")
    ] = 0.5,
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Benchmark whose other questions are guarded against leakage.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split. The same seed gives the same version.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Build a dataset version from corrections and anchor examples, with a held-out share that is never trained on."""
    from pydantic import ValidationError

    from burnish.errors import InvalidInputError
    from burnish.schemas.dataset import DatasetSpec
    from burnish_client import CuratorClient
    from burnish_client.cli.views import data_text

    with CuratorClient.from_settings() as client:
        try:
            spec = DatasetSpec(
                name=name,
                run_log_id=client.find_run_log(run_log).id,
                labels=label,
                format=format,
                held_out_share=held_out_share,
                validation_share=validation_share,
                anchor_ratio=anchor_ratio,
                anchor_pool_share=anchor_pool_share,
                benchmark=_benchmark_reference(client, benchmark),
                seed=seed,
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInputError(
                f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']} (given: {first['input']})"
            ) from error
        with console.working("building the dataset"):
            manifest = client.build_dataset(spec)
    if json:
        return console.print_json(manifest)
    console.out().print(f"[bold green]built[/] {manifest.name}@{manifest.version}")
    data_text.show_dataset(manifest)
    console.next_step(f"burnish train {manifest.spec.format} --dataset {manifest.name}@{manifest.version} --follow")


def _benchmark_reference(client: CuratorClient, reference: str | None) -> str | None:
    """`name/version` for the spec; the newest version if none is given."""
    if reference is None:
        return None
    manifest = client.benchmark(*console.name_and_version(reference))
    return f"{manifest.name}/{manifest.version}"


@app.command("ls")
def list_datasets(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List dataset versions, newest first."""
    from burnish_client import CuratorClient

    with CuratorClient.from_settings() as client:
        manifests = client.datasets(name)
    columns = ("~name", "version", "format", ">train", ">valid.", ">held out", "built")
    empty = "no datasets yet: burnish dataset build NAME --label LABEL"
    console.show_models(manifests, _row, *columns, json=json, empty=empty)


def _row(manifest: DatasetManifest) -> list[str]:
    counts = (str(manifest.counts.train), str(manifest.counts.validation), str(manifest.counts.held_out))
    return [manifest.name, manifest.version, manifest.spec.format, *counts, console.when(manifest.created_at)]


@app.command("show")
def show_dataset(dataset: Reference, json: JsonFlag = False) -> None:
    """Show a dataset version: where it came from, what is in it, what was left out and why."""
    from burnish_client import CuratorClient
    from burnish_client.cli.views import data_text

    with CuratorClient.from_settings() as client:
        manifest = client.dataset(*console.name_and_version(dataset))
    if json:
        return console.print_json(manifest)
    data_text.show_dataset(manifest)


@app.command("export")
def export_dataset(
    dataset: Reference,
    form: Annotated[
        Literal["rows", "prompt-completion", "openai-messages", "dpo", "kto", "together", "vertex"],
        typer.Option(help="Format of the rows."),
    ] = "openai-messages",
    split: Annotated[Literal["train", "validation"], typer.Option(help="Which rows.")] = "train",
    output: OutputFile = None,
) -> None:
    """Write a split as JSONL in another tool's format."""
    from burnish_client import CuratorClient

    name, version = console.name_and_version(dataset)
    with CuratorClient.from_settings() as client:
        version = version or client.dataset(name).version
        lines = console.write_output(client.export_dataset(name, version, form, split), output)
    if output:
        console.note(f"[bold green]wrote[/] {output}: {lines:,} {split} rows of {name}@{version} as {form}")
