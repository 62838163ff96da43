"""`burnish lineage`: what a thing was made from, and what saw it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

import burnish_client
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import lineage_text


def lineage(
    thing: Annotated[
        str,
        typer.Argument(
            metavar="THING",
            help="Id of an eval, NAME[@VERSION] of an adapter or dataset, a run log, or a line of one: LOG:NUMBER, LOG:question=ID, LOG:trace=ID.",
        ),
    ],
    kind: Annotated[
        Literal["eval", "adapter", "dataset", "runlog", "line"] | None,
        typer.Option(help="What THING is, if things of several kinds have its name."),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Most questions or lines to show side by side; --json has all.", min=1)
    ] = 5,
    json: JsonFlag = False,
) -> None:
    """Walk from a verdict, adapter or dataset back to log lines and reviewers, and from a line on to all that saw it."""
    from burnish_client.sdk.lineage import LineageReader

    with (
        burnish_client.CuratorClient.from_settings() as curator,
        burnish_client.InferenceClient.from_settings() as inference,
        console.working("reading manifests"),
    ):
        found = LineageReader(curator, inference).of(thing, kind)
    if json:
        return console.print_json(found.to_dict())
    lineage_text.show(found, limit)
