"""`burnish adapters`: adapter versions that the inference service can serve: which one answers, and which are removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import burnish_client
from burnish.errors import NotFoundError
from burnish.layout import PRODUCTION
from burnish.registry.references import LATEST
from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.evaluation import alias_text

if TYPE_CHECKING:
    from burnish.schemas.adapter import AdapterManifest, Alias
    from burnish.schemas.base import Listing
    from burnish.schemas.training.hosted import RemoteModelManifest

app = typer.Typer(help="Adapter versions: list, show, promote, roll back, remove.", no_args_is_help=True)
alias_app = typer.Typer(help="Which version each name answers with, and its history.", no_args_is_help=True)
app.add_typer(alias_app, name="alias")

AdapterVersion = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A version; `latest` is the newest.")]
AdapterName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the adapter.")]


class AliasOptions(Options):
    """Which alias of an adapter."""

    alias: str = option(PRODUCTION, "Another alias than the production one, such as staging.")


class PromoteOptions(AliasOptions):
    """Which alias the version gets, and why without a ship verdict."""

    override: str | None = option(
        None, "Promote without a stored ship verdict; the reason is kept and shown.", metavar="REASON"
    )


class ChangeOptions(AliasOptions):
    """Which alias changes, and why."""

    reason: str | None = option(None, "Why; kept in the history.")


class PruneOptions(Options):
    """What is kept, and whether the rest is removed."""

    keep: int = option(1, "Newest versions of each adapter to keep in any case.", min=0)
    yes: bool = option(False, "Remove them; without this, only list.", names=["--yes"])


@app.command("ls")
def list_adapters(
    name: Annotated[str | None, typer.Argument(help="Only versions of this one.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List adapter versions, newest first."""
    with burnish_client.InferenceClient.from_settings() as client:
        manifests, remote = _adapters(client, name), client.remote_models(name)
    console.show_broken(remote)
    if json:
        console.show_broken(manifests)
        return console.print_json([*manifests, *remote])
    if remote:
        shown = console.table("~remote", "version", "method", "at", "model", "made")
        for one in remote:
            at = one.remote.provider
            shown.add_row(one.name, one.version, one.method, at, one.remote.model, console.when(one.created_at))
        console.show_table(shown)
        for expiry in filter(None, (one.remote.expiry(datetime.now(UTC)) for one in remote)):
            console.note(f"[yellow]{escape(console.fold(expiry))}[/]")
        if not manifests:
            return console.show_broken(manifests)
    columns = ("~name", "version", "method", ">rank", ">steps", ">val. loss", "made")
    empty = "no adapters yet: burnish train sft --dataset NAME --follow"
    console.show_models(manifests, _row, *columns, json=json, empty=empty)


def _adapters(client: burnish_client.InferenceClient, name: str | None) -> Listing[AdapterManifest]:
    """Those of one name may all be remote models."""
    from burnish.schemas.base import Listing

    try:
        return client.adapters(name)
    except NotFoundError:
        if name and client.remote_models(name):
            return Listing()
        raise


def _row(manifest: AdapterManifest) -> list[str]:
    figures = (str(manifest.rank), str(manifest.training.steps), _loss(manifest.training.best_validation_loss))
    return [manifest.name, manifest.version, manifest.method, *figures, console.when(manifest.created_at)]


@app.command("show")
def show_adapter(
    adapter: Annotated[
        str,
        typer.Argument(metavar="NAME[@VERSION]", help="Without version, the production one; `latest` is the newest."),
    ],
    json: JsonFlag = False,
) -> None:
    """Show an adapter version: base, training, lineage."""
    with burnish_client.InferenceClient.from_settings() as client:
        name, version = console.name_and_version(adapter)
        try:
            manifest = client.adapter(name, version or PRODUCTION)
        except NotFoundError:
            if not client.remote_models(name):
                raise
            return _show_remote(client.remote_model(name, version or LATEST), json)
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


def _show_remote(found: RemoteModelManifest, json: bool) -> None:
    if json:
        return console.print_json(found)
    remote = found.remote
    pairs = [
        ("remote model", f"{found.name}@{found.version}"),
        ("at", f"{remote.provider}, {remote.endpoint}"),
        ("as", remote.model),
        ("base", f"{remote.base_model}, the provider's own"),
        ("expires", console.when(remote.expires_at) if remote.expires_at else None),
        ("method", found.method),
        ("job", found.job_id),
        ("made", console.when(found.created_at)),
        *[("from", f"{parent.kind.replace('_', ' ')} {parent.name}") for parent in found.parents],
    ]
    console.out().print(console.facts(pairs))


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


@app.command("promote")
@grouped
def promote(adapter: AdapterVersion, options: PromoteOptions, json: JsonFlag = False) -> None:
    """Let a name answer with this version, in every gateway within a second.

    A stored evaluation of this very version must say ship. The version is loaded before the first request gets it.
    """
    name, version = console.version_of(adapter)
    with burnish_client.Adapters.from_settings() as client, console.working(f"loading {adapter}"):
        changed = client.promote(name, version, alias=options.alias, override=options.override)
    _show_change(changed, json)


@app.command("rollback")
@grouped
def roll_back(name: AdapterName, options: ChangeOptions, json: JsonFlag = False) -> None:
    """Return to the version that answered before the last promotion; after the first one, to none."""
    with burnish_client.Adapters.from_settings() as client:
        changed = client.rollback(name, alias=options.alias, reason=options.reason)
    _show_change(changed, json)


@alias_app.command("ls")
def list_aliases(
    name: Annotated[str | None, typer.Argument(help="Only aliases of this adapter.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List which version each name answers with, since when, by whom, and what that rests on."""
    with burnish_client.Adapters.from_settings() as client:
        aliases = client.aliases(name)
    console.show_broken(aliases)
    if json:
        return console.print_json(aliases)
    if not aliases:
        return console.note("no aliases yet: burnish adapters promote NAME@VERSION")
    for alias in aliases:
        console.out().print(alias_text.alias_line(alias), soft_wrap=True)


@alias_app.command("history")
@grouped
def show_history(name: AdapterName, options: AliasOptions, json: JsonFlag = False) -> None:
    """List every change of an alias, newest first."""
    with burnish_client.Adapters.from_settings() as client:
        changes = client.history(name, options.alias)
    if json:
        return console.print_json(changes)
    if not changes:
        return console.note(f"alias {options.alias} of {name} was never set: burnish adapters alias ls")
    for change in changes:
        console.out().print(alias_text.change_line(change), soft_wrap=True)


@alias_app.command("rm")
@grouped
def remove_alias(name: AdapterName, options: ChangeOptions, json: JsonFlag = False) -> None:
    """Let an alias name no version. Its history stays; nothing is left to roll back to."""
    with burnish_client.Adapters.from_settings() as client:
        changed = client.remove_alias(name, alias=options.alias, reason=options.reason)
    _show_change(changed, json)


@app.command("rm")
def remove_adapter(
    adapter: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A version; `ls` lists them.")],
) -> None:
    """Remove a version for good. Refused while an alias, an evaluation, another adapter or a job rests on it."""
    name, version = console.version_of(adapter)
    with burnish_client.TrainerClient.from_settings() as trainer:
        trainer.check_unused("adapter", name, version)
    with burnish_client.Adapters.from_settings() as client:
        try:
            client.remove(name, version)
        except NotFoundError:
            client.remove_remote(name, version)
            console.note("it was a remote model, and stays with its provider")
    console.out().print(f"[bold green]removed[/] {name}@{version}")


@app.command("prune")
@grouped
def prune(
    options: PruneOptions,
    name: Annotated[str | None, typer.Argument(help="Only versions of this adapter.", show_default=False)] = None,
    json: JsonFlag = False,
) -> None:
    """List the versions that nothing rests on, or remove them with --yes. What is kept is listed with its reason."""
    from burnish.errors import HeldError

    with burnish_client.Adapters.from_settings() as client, burnish_client.TrainerClient.from_settings() as trainer:
        uses = client.uses(name)
        console.show_broken(uses)
        planned = alias_text.plan_prune(uses, options.keep, trainer.versions_in_use("adapter"))
        removed = []
        for one in planned if options.yes else ():
            if not one.kept_because:
                try:
                    client.remove(one.name, one.version)
                    removed.append(one)
                except HeldError as error:  # since it was listed
                    console.note(f"kept {one.name}@{one.version}: {error.message}")
    if json:
        return console.print_json([one.to_dict() | {"removed": one in removed} for one in planned])
    alias_text.show_prune(planned, removed, is_dry_run=not options.yes)


def _show_change(alias: Alias, json: bool) -> None:
    if json:
        return console.print_json(alias)
    console.out().print(alias_text.alias_line(alias), soft_wrap=True)
