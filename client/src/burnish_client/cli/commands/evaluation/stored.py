"""`burnish eval ls` and `burnish eval rm`: the evaluations that are stored, which promotions rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import burnish_client
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import EvalManifest


def list_evals(json: JsonFlag = False) -> None:
    """List stored evaluations, newest first."""
    with burnish_client.CuratorClient.from_settings() as client:
        manifests = client.evals()
    columns = ("id", "~candidate", "~benchmark", "verdict", "made")
    empty = "no evaluations yet: burnish eval --benchmark NAME --adapter NAME@latest"
    console.show_models(manifests, _row, *columns, json=json, empty=empty)


def _row(manifest: EvalManifest) -> list[str]:
    benchmark = manifest.benchmark.replace("/", "@")
    return [manifest.id, manifest.candidate_model, benchmark, manifest.verdict, console.when(manifest.created_at)]


def remove_eval(eval_id: Annotated[str, typer.Argument(metavar="ID", help="Of `burnish eval ls`.")]) -> None:
    """Remove a stored evaluation for good. Refused while an alias rests on it."""
    with burnish_client.CuratorClient.from_settings() as client:
        client.remove_eval(eval_id)
    console.out().print(f"[bold green]removed[/] eval {eval_id}")
