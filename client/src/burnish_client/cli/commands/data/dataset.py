"""`burnish dataset`: dataset versions, built, listed, shown and exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from burnish_client.cli.commands.data.runs import resolve_run_log
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.dataset import DatasetManifest
    from burnish_client.sdk.curator import CuratorClient

app = typer.Typer(help="Dataset versions: build, list, look into, export.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")]


@app.command("build")
def build_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset: a-z 0-9 . _ -")],
    label: Annotated[
        list[str], typer.Option(help="Failure label whose corrected questions are targeted; repeat for more.")
    ],
    run_log: Annotated[
        str | None, typer.Option(help="Id or name of the run log; default: the newest.", show_default=False)
    ] = None,
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
    seed: Annotated[int, typer.Option(help="Of the split. The same seed gives the same version.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Build a dataset version from corrections and anchor examples, with a held-out share that is never trained on."""
    from pydantic import ValidationError

    from burnish.errors import InvalidInputError
    from burnish.schemas.dataset import DatasetSpec
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client:
        try:
            spec = DatasetSpec(
                name=name,
                run_log_id=resolve_run_log(client, run_log).id,
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
        return console.print_json(manifest.model_dump(mode="json"))
    console.out().print(f"[bold green]built[/] {manifest.name}@{manifest.version}")
    show(manifest)
    console.next_step(f"burnish train {manifest.spec.format} --dataset {manifest.name}@{manifest.version} --follow")


def _benchmark_reference(client: CuratorClient, reference: str | None) -> str | None:
    """`name/version` for the spec; the newest version where none is given."""
    if reference is None:
        return None
    manifest = client.benchmark(*console.name_and_version(reference))
    return f"{manifest.name}/{manifest.version}"


@app.command("ls")
def list_datasets(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """Dataset versions, newest first."""
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client:
        manifests = client.datasets(name)
    if json:
        return console.print_json([manifest.model_dump(mode="json") for manifest in manifests])
    if not manifests:
        return console.note("no datasets yet: burnish dataset build NAME --label LABEL")
    shown = console.table("~name", "version", "format", ">train", ">valid.", ">held out", "built")
    for manifest in manifests:
        counts = manifest.counts
        shown.add_row(
            manifest.name,
            manifest.version,
            manifest.spec.format,
            str(counts.train),
            str(counts.validation),
            str(counts.held_out),
            console.when(manifest.created_at),
        )
    console.show_table(shown)


@app.command("show")
def show_dataset(dataset: Reference, json: JsonFlag = False) -> None:
    """A dataset version: where it came from, what is in it, what was left out and why."""
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client:
        manifest = client.dataset(*console.name_and_version(dataset))
    if json:
        return console.print_json(manifest.model_dump(mode="json"))
    show(manifest)


def show(manifest: DatasetManifest) -> None:
    counts, lengths = manifest.counts, manifest.lengths
    pairs: list[tuple[str, object]] = [
        ("dataset", f"{manifest.name}@{manifest.version}"),
        ("format", manifest.spec.format),
        ("labels", ", ".join(manifest.spec.labels)),
        ("rows", f"{counts.train:,} to train on, {counts.validation:,} for validation loss"),
        ("made of", f"{counts.corrections:,} corrections, {counts.anchors:,} anchor examples"),
        ("held out", f"{counts.held_out:,} targeted questions, for evaluation only"),
        ("left out", "; ".join(f"{count:,} {reason}" for reason, count in counts.discarded.items()) or "nothing"),
        (
            "lengths",
            f"{lengths.minimum:,} to {lengths.maximum:,} {lengths.unit}, median {lengths.median:,.0f}, total {lengths.total:,}",
        ),
        ("built", console.when(manifest.created_at)),
    ]
    pairs += [("from", f"{parent.kind} {parent.name} {parent.digest[:23]}") for parent in manifest.parents]
    console.out().print(console.facts(pairs))


@app.command("export")
def export_dataset(
    dataset: Reference,
    form: Annotated[
        Literal["rows", "prompt-completion", "openai-messages", "dpo", "kto", "together", "vertex"],
        typer.Option(help="Who is to read it."),
    ] = "openai-messages",
    split: Annotated[Literal["train", "validation"], typer.Option(help="Which rows.")] = "train",
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; without it, stdout.", show_default=False)
    ] = None,
) -> None:
    """Write a split as JSONL in another tool's form."""
    from burnish_client.sdk.curator import CuratorClient

    name, version = console.name_and_version(dataset)
    with CuratorClient.from_settings() as client:
        version = version or client.dataset(name).version
        lines = console.write_output(client.export_dataset(name, version, form, split), output)
    if output:
        console.note(f"[bold green]wrote[/] {output}: {lines:,} {split} rows of {name}@{version} as {form}")
