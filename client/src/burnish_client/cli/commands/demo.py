"""`burnish demo`: the whole loop on real code, on this machine."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from burnish_client.cli.views import console


class Target(StrEnum):
    """Which stack the demo runs through."""

    EMBEDDED = "embedded"
    COMPOSE = "compose"


def demo(
    seed: Annotated[
        int, typer.Option(help="Seed of the questions and the splits; another seed asks other questions.")
    ] = 0,
    questions: Annotated[
        int | None, typer.Option(help="Size of the benchmark. Default: 280, or 64 with --small.", show_default=False)
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="Fewer questions and training steps: faster, but less certain.")
    ] = False,
    target: Annotated[
        Target,
        typer.Option(
            help="The stack to use: that of `burnish up`, or that of `docker compose up` with this folder's .env."
        ),
    ] = Target.EMBEDDED,
    keep_up: Annotated[bool, typer.Option("--keep-up", help="Leave the stack running at the end.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for its files. Default: demo/ in the state folder.", show_default=False
        ),
    ] = None,
) -> None:
    """Run the whole loop: a real model's repeated failure, corrections, an adapter, and the verdict on it.

    A stack that runs already is used and left running. Exit code 1 if the adapter did not measurably improve.
    """
    from burnish_client.config.env_file import read_here
    from burnish_client.demo import FULL, SMALL, run

    compose = read_here(os.environ) if target is Target.COMPOSE else None
    recipe = SMALL if small else FULL
    try:
        run(seed=seed, questions=questions, keep_up=keep_up, out=output, recipe=recipe, compose=compose)
    except KeyboardInterrupt:
        console.note("[yellow]interrupted:[/] everything that the demo had started has been ended")
        raise typer.Exit(130) from None
