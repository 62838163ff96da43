"""`burnish demo`: the whole loop on real code, on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import typer

from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.views import console


class DemoOptions(Options):
    """How big the demo is, and through which stack it runs."""

    seed: int = option(0, "Seed of the questions and the splits; another seed asks other questions.")
    questions: int | None = option(None, "Size of the benchmark. Default: 480, or 64 with --small.")
    small: bool = option(False, "Fewer questions and training steps: faster, but less certain.", names=["--small"])
    target: Literal["embedded", "compose"] = option(
        "embedded", "The stack to use: that of `burnish up`, or that of `docker compose up` with this folder's .env."
    )
    keep_up: bool = option(False, "Leave the stack running at the end.", names=["--keep-up"])
    output: Path | None = option(
        None, "Folder for its files. Default: demo/ in the state folder.", names=["--out", "-o"]
    )


@grouped
def demo(options: DemoOptions) -> None:
    """Run the whole loop: a real model's repeated failure, corrections, an adapter, and the verdict on it.

    A stack that runs already is used and left running. Exit code 1 if the adapter did not measurably improve.
    """
    from burnish_client.config.env_file import read_here
    from burnish_client.demo import FULL, SMALL, run

    compose = read_here(os.environ) if options.target == "compose" else None
    try:
        run(
            seed=options.seed,
            questions=options.questions,
            keep_up=options.keep_up,
            out=options.output,
            recipe=SMALL if options.small else FULL,
            compose=compose,
        )
    except KeyboardInterrupt:
        console.note("[yellow]interrupted:[/] everything that the demo had started has been ended")
        raise typer.Exit(130) from None
