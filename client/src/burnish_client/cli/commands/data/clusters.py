"""`burnish clusters`: failures that nobody labelled, grouped by how they fail, and the groups corrected by a person."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import RunLog, RunLogOption
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import cluster_text

if TYPE_CHECKING:
    from burnish.schemas.clustering import Cluster as ClusterModel
    from burnish.schemas.clustering import ClusteringManifest

app = typer.Typer(
    help="Failures that nobody labelled: find clusters, look, name, rename, merge, split.", no_args_is_help=True
)
Cluster = Annotated[str, typer.Argument(help="Name of a cluster.")]


@app.command("find")
def find_clusters(
    run_log: RunLog = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Cluster the failures of this logged label too, and replace it; repeat for more."),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="RUNLOG[/VERSION]", help="Put failures into the clusters of this run log first; others are new."
        ),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="URL#NAME", help="OpenAI-compatible endpoint whose vectors are used; default: wordllama's."
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="BURNISH_EMBEDDER_TOKEN", help="Bearer token of that endpoint.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.", min=0)] = 0,
    json: JsonFlag = False,
) -> None:
    """Group the model's unlabelled failures: by signature, then by answers that are alike, whatever their topic.

    The names of the groups are failure labels from then on, for diagnose, review and dataset. The run log stays as it is.
    """
    from burnish.schemas.clustering import ClusteringSpec
    from burnish_client.sdk import embeddings

    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        if like is not None:
            name, slash, version = like.partition("/")
            like = f"{client.find_run_log(name).id}{slash}{version}"
        spec = ClusteringSpec(labels=label or [], like=like, seed=seed)
        if embedder is not None and like is not None:
            raise InvalidInputError("give --embedder or --like: known clusters are compared by wordllama", field="like")
        with console.working("clustering"):
            if embedder is None:
                made = client.make_clustering(run_log_id, spec)
            else:
                made = embeddings.cluster(client, run_log_id, spec, embedder, token)
            standing = client.clustering(run_log_id).version
    if json:
        return console.print_json(made)
    cluster_text.show_clustering(made)
    if standing != made.version:
        console.note(
            f"[yellow]this clustering was there already, and {standing} stands:[/] it was made later. "
            f"`burnish clusters rm {standing} --run-log {run_log_id}` takes that back"
        )
    if made.clusters:
        console.next_step(f"burnish clusters show {run_log_id} {shlex.quote(made.clusters[0].name)}")


@app.command("ls")
def list_clusterings(run_log: RunLog = None, json: JsonFlag = False) -> None:
    """List the clusterings of a run log, newest first. The newest stands."""
    with burnish_client.CuratorClient.from_settings() as client:
        found = client.clusterings(client.find_run_log(run_log).id)
    columns = ("version", ">failures", ">clusters", "~made by", "made")
    console.show_models(
        found, cluster_text.row, *columns, json=json, empty="no clustering yet: burnish clusters find RUNLOG"
    )


@app.command("show")
def show_clusters(
    run_log: RunLog = None,
    cluster: Annotated[str | None, typer.Argument(help="Cluster whose answers are shown; without it, all.")] = None,
    version: Annotated[str | None, typer.Option(help="An older clustering; default: the newest.")] = None,
    json: JsonFlag = False,
) -> None:
    """Show the clusters with a heat table of cluster and topic, or one with its most and least typical answers."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        found = client.clustering(run_log_id, version)
        if cluster is None:
            return console.print_json(found) if json else cluster_text.show_clustering(found)
        chosen = _cluster(found, cluster)
        shown = [*chosen.central, *chosen.odd]
        page = client.run_log_rows(run_log_id, line=shown)
        lines = dict(zip(page.line_numbers, page.rows, strict=True))
    if json:
        return console.print_json({"cluster": chosen, "lines": list(lines.values())})
    cluster_text.show_cluster(chosen, lines)
    console.next_step(f"burnish review export {run_log_id} --label {shlex.quote(chosen.name)} --out review.jsonl")


@app.command("rename")
def rename_cluster(
    cluster: Cluster,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    run_log: RunLogOption = None,
    json: JsonFlag = False,
) -> None:
    """Give a cluster another name."""
    _edit(run_log, json, kind="rename", clusters=[cluster], name=name)


@app.command("merge")
def merge_clusters(
    clusters: Annotated[list[str], typer.Argument(help="Names of clusters.")],
    name: Annotated[str | None, typer.Option(help="Name of the one; default: that of the largest.")] = None,
    run_log: RunLogOption = None,
    json: JsonFlag = False,
) -> None:
    """Make one cluster of several."""
    _edit(run_log, json, kind="merge", clusters=clusters, name=name)


@app.command("split")
def split_cluster(
    cluster: Cluster,
    into: Annotated[int, typer.Option(help="At most so many parts.", min=2, max=20)] = 2,
    run_log: RunLogOption = None,
    json: JsonFlag = False,
) -> None:
    """Make several clusters of one, by how its answers differ."""
    _edit(run_log, json, kind="split", clusters=[cluster], parts=into)


@app.command("name")
def name_clusters(
    run_log: RunLog = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="URL#NAME", help="Model of an OpenAI-compatible endpoint that is asked for names."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="BURNISH_NAMER_TOKEN", help="Bearer token of that endpoint.")
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask for this cluster; repeat for more. Default: the largest that are not called by a signature."
        ),
    ] = None,
    most: Annotated[int, typer.Option(help="Most clusters to ask for: the budget.", min=1)] = 20,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="CLUSTER", help="Rename this cluster as was proposed, and ask nobody; repeat for more."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Let a model propose a label and a sentence for each cluster. They are stored and shown; a cluster keeps its name until --accept or `rename`.

    The model is sent three typical and two odd questions and answers of a cluster, and what is said most in it.
    """
    if (model is None) == (accept is None):
        raise InvalidInputError(
            "give --model URL#NAME to ask for names, or --accept CLUSTER to take one", field="model"
        )
    if accept is not None:
        return _accept(run_log, accept, json)
    _propose(run_log, model or "", token, cluster or [], most, json)


def _propose(run_log: str | None, model: str, token: str | None, names: list[str], most: int, json: bool) -> None:
    import asyncio

    from burnish_client.cli.views.evaluation import answers
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.evaluation.cluster_names import propose_names
    from burnish_client.evaluation.request import endpoint_and_model

    namer = endpoint_and_model(model, token, "model")
    with burnish_client.CuratorClient.from_settings() as client:
        found = client.clustering(client.find_run_log(run_log).id)
        chosen = [_cluster(found, name) for name in dict.fromkeys(names)] or [
            each for each in found.clusters if each.name != each.signature
        ]
        folder = ClientSettings().home / "naming"
        folder.mkdir(parents=True, exist_ok=True)
        replies = folder / f"{found.name}-{found.version}.replies.jsonl"
        with answers.resumable("names", replies) as progress:
            done = asyncio.run(propose_names(client, found, chosen[:most], namer, replies, progress))
        replies.unlink(missing_ok=True)
    if json:
        return console.print_json(
            {"clustering": done.clustering.version, "proposed": done.proposed, "refused": done.refused}
        )
    cluster_text.show_proposals(done.proposed, done.refused)
    if len(chosen) > most:
        console.note(f"[dim]{len(chosen) - most:,} smaller clusters were not asked for: --most[/]")
    for name in list(done.proposed)[:1]:
        console.next_step(f"burnish clusters name {found.name} --accept {shlex.quote(name)}")


def _accept(run_log: str | None, names: list[str], json: bool) -> None:
    from burnish.errors import PreconditionError
    from burnish.schemas.clustering import Edit

    with burnish_client.CuratorClient.from_settings() as client:
        found = client.clustering(client.find_run_log(run_log).id)
        for name in names:
            if _cluster(found, name).proposed is None:
                raise PreconditionError(
                    f"no name was proposed for {name!r}: `burnish clusters name --model URL#NAME` asks"
                )
        for name in names:
            proposed = _cluster(found, name).proposed
            edit = Edit(kind="rename", clusters=[name], name=proposed.label if proposed else None)
            found = client.edit_clustering(found.name, found.version, edit)
    if json:
        return console.print_json(found)
    cluster_text.show_clustering(found)


def _cluster(found: ClusteringManifest, name: str) -> ClusterModel:
    from burnish.errors import NotFoundError

    chosen = next((each for each in found.clusters if each.name == name), None)
    if chosen is None:
        raise NotFoundError(
            f"no cluster {name!r}: there are {', '.join(each.name for each in found.clusters) or 'none'}"
        )
    return chosen


@app.command("rm")
def remove_clustering(
    version: Annotated[str, typer.Argument(help="Version of a clustering, as `ls` shows it.")],
    run_log: RunLogOption = None,
) -> None:
    """Remove a clustering for good; the one before it stands again. Refused while a dataset rests on it."""
    with burnish_client.CuratorClient.from_settings() as client:
        run_log_id = client.find_run_log(run_log).id
        client.remove_clustering(run_log_id, version)
    console.out().print(f"[bold green]removed[/] clustering {version} of run log {run_log_id}")


def _edit(run_log: str | None, json: bool, **fields: Any) -> None:
    from pydantic import ValidationError

    from burnish.errors import validation_problems
    from burnish.schemas.clustering import Edit

    try:
        edit = Edit.model_validate(fields)
    except ValidationError as error:
        raise InvalidInputError(validation_problems(error)) from error
    with burnish_client.CuratorClient.from_settings() as client, console.working("changing the clusters"):
        run_log_id = client.find_run_log(run_log).id
        made: ClusteringManifest = client.edit_clustering(run_log_id, client.clustering(run_log_id).version, edit)
    if json:
        return console.print_json(made)
    cluster_text.show_clustering(made)
