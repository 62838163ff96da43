"""`burnish adapters`: adapter versions that the inference service can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest

app = typer.Typer(help="Adapter versions: list, show.", no_args_is_help=True)


@app.command("ls")
def list_adapters(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List adapter versions, newest first."""
    from burnish_client import InferenceClient

    with InferenceClient.from_settings() as client:
        manifests = client.adapters(name)
    columns = ("~name", "version", "method", ">rank", ">steps", ">val. loss", "made")
    empty = "no adapters yet: burnish train sft --dataset NAME --follow"
    console.show_models(manifests, _row, *columns, json=json, empty=empty)


def _row(manifest: AdapterManifest) -> list[str]:
    figures = (str(manifest.rank), str(manifest.training.steps), _loss(manifest.training.best_validation_loss))
    return [manifest.name, manifest.version, manifest.method, *figures, console.when(manifest.created_at)]


@app.command("show")
def show_adapter(
    adapter: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Without version, the newest.")],
    json: JsonFlag = False,
) -> None:
    """Show an adapter version: base, training, lineage."""
    from burnish_client import InferenceClient

    with InferenceClient.from_settings() as client:
        manifest = client.adapter(*console.name_and_version(adapter))
    if json:
        return console.print_json(manifest)
    training = manifest.training
    losses = f"{_loss(training.first_train_loss)} → {_loss(training.final_train_loss)}, validation {_loss(training.best_validation_loss)}"
    size_bytes = sum(file.size_bytes for file in manifest.files)
    stopped = ", stopped early" if training.stopped_early else ""
    pairs = [
        ("adapter", f"{manifest.name}@{manifest.version}"),
        ("base", f"{manifest.base_model.name} {manifest.base_model.digest[:19]}…"),
        ("method", f"{manifest.method}, {manifest.backend}, quantization {manifest.quantization}"),
        ("LoRA", f"rank {manifest.rank}, alpha {manifest.alpha}, {', '.join(manifest.target_modules)}"),
        ("steps", f"{training.steps}, best {training.best_step}{stopped}"),
        ("loss", losses),
        ("took", console.duration(training.duration_seconds)),
        ("job", manifest.job_id),
        ("size", console.size(size_bytes) if size_bytes else None),
        ("made", console.when(manifest.created_at)),
        *[("from", f"{parent.kind} {parent.name} {parent.digest[:23]}") for parent in manifest.parents],
    ]
    console.out().print(console.facts(pairs))


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
