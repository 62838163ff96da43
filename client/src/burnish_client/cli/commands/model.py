"""`burnish model`: the base models of the embedded stack: added by name with a report, listed, removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from burnish.schemas.models import ModelCheck
    from burnish_client.stack.models.shelf import ShelvedModel

app = typer.Typer(help="Base models of the embedded stack: add, list, remove.", no_args_is_help=True)

MARKS = {"right": "[green]right[/]", "warning": "[yellow]warning[/]", "refused": "[red]refused[/]"}
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="As `burnish model ls` has it.")]


class AddOptions(Options):
    """What the model is called, and what is recorded of it."""

    name: str | None = option(
        None, "What requests and `burnish up --model` call it; default: the folder's or repository's name."
    )
    licence: str | None = option(None, "Its licence, if neither its card nor a licence file states it.")


class RemoveOptions(Options):
    """Whether it is removed unseen."""

    unchecked: bool = option(
        False, "Remove it while the stack is down, when nobody can say what rests on it.", names=["--unchecked"]
    )


@app.command("add")
@grouped
def add(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|ORG/NAME[@REV]", help="A Hugging Face folder, or a repository of the hub.")
    ],
    options: AddOptions,
    json: JsonFlag = False,
) -> None:
    """Check a base model, record it and give it a name.

    A folder stays where it is. A repository is downloaded into BURNISH_HOME; after a download that broke off, the same command fetches what is missing.
    """
    from burnish_client.stack.models.adding import add_folder, add_repository
    from burnish_client.stack.settings import StackSettings

    settings = StackSettings()
    adding = add_folder if Path(source).is_dir() else add_repository
    added = adding(source, settings, options.name, options.licence, _Told(json))
    if json:
        return console.print_json({**_public(added.model), "checks": [one.model_dump() for one in added.checks]})
    console.out().print(console.facts(_facts(added.model)))
    console.next_step(f"burnish up --model {added.model.name}")


class _Told:
    """Shows how adding goes on; with --json, on stderr alone."""

    def __init__(self, json: bool) -> None:
        self._json = json

    def note(self, message: str) -> None:
        console.note(message)

    def checks(self, checks: Sequence[ModelCheck]) -> None:
        if self._json:
            return
        shown = console.table("what", "", "found")
        for one in checks:
            shown.add_row(one.subject, MARKS[one.state], one.found)
        console.show_table(shown)


@app.command("ls")
def list_models(json: JsonFlag = False) -> None:
    """List the base models that a stack here can take, and which one it has."""
    from burnish_client.stack import control
    from burnish_client.stack.models.shelf import Shelf
    from burnish_client.stack.settings import StackSettings

    settings = StackSettings()
    shelf = Shelf(settings.home, settings.base_model)
    state = control.status(settings.home.resolve())
    served = state.base_model if state is not None and state.phase == "running" else None
    models = shelf.all()
    for name in shelf.gone():
        console.note(f"[yellow]{name}:[/] its folder has gone: put it back, or burnish model rm {name}")
    if json:
        return console.print_json([{**_public(model), "in_use": model.name == served} for model in models])
    if not models:
        return console.note("no base models here: make setup, or burnish model add FOLDER")
    shown = console.table("~name", "in use", ">weights", "licence", "digest", "~folder")
    for model in models:
        figures = (console.size(model.weight_bytes), model.record.licence, model.record.digest[:19] + "…")
        shown.add_row(model.name, "yes" if model.name == served else "", *figures, console.path_text(model.folder))
    console.show_table(shown)


@app.command("rm")
@grouped
def remove(name: ModelName, options: RemoveOptions, json: JsonFlag = False) -> None:
    """Remove a base model, unless the stack uses it or something rests on it. A folder that was not downloaded here stays."""
    from burnish_client.stack.models.removing import remove as remove_model
    from burnish_client.stack.settings import StackSettings

    removed = remove_model(name, StackSettings(), unchecked=options.unchecked)
    if json:
        return console.print_json({"removed": name, "folder": str(removed.folder), "folder_kept": removed.kept})
    kept = f"; its folder {removed.folder} is as it was" if removed.kept else ""
    console.out().print(f"removed base model {name}{kept}", soft_wrap=True)


def _public(model: ShelvedModel) -> dict[str, object]:
    return {**model.record.model_dump(), "folder": str(model.folder), "weight_bytes": model.weight_bytes}


def _facts(model: ShelvedModel) -> list[tuple[str, object]]:
    record = model.record
    return [
        ("base model", record.name),
        ("folder", model.folder),
        ("source", record.source),
        ("licence", record.licence),
        ("weights", console.size(model.weight_bytes)),
        ("digest", record.digest),
    ]
