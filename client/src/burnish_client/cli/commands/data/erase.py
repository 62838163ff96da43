"""`burnish erase`: a user's lines, or single ones, everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

import burnish_client
from burnish.errors import InvalidInputError
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.data import erasure_text


def erase(
    user: Annotated[str | None, typer.Option(metavar="ID", help="Every line of this `user_id`.")] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(metavar="LOG:LINE", help="LOG:NUMBER, LOG:question=ID or LOG:trace=ID; repeat for more."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase. Without it, what would go is shown.")] = False,
    json: JsonFlag = False,
) -> None:
    """Erase people's text for good: from run logs, waiting traces, reviews, datasets and stored answers of evaluations.

    Without --yes nothing is changed. Adapters that were trained on it are listed: training again without it is the only way to take it out of
    them. The bucket is searched at the end; exit code 1 if a text is still somewhere. There is no undoing.
    """
    if user is None and not line:
        raise InvalidInputError("say what to erase: --user ID, or --line LOG:LINE", field="user")
    with burnish_client.CuratorClient.from_settings() as client, console.working("erasing" if yes else "looking"):
        found = client.erase(user=user, lines=line or [], preview=not yes)
    if json:
        console.print_json(found)
    else:
        erasure_text.show(found)
    if found.scan is not None and found.scan.found:
        raise typer.Exit(1)
