"""`burnish demo`: the whole loop on real code, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    seed: Annotated[int, typer.Option(help="Of the questions and the splits; another seed asks other questions.")] = 0,
) -> None:
    """Watch a real model's repeated failure become an adapter that no longer makes it, with a verdict that says so."""
    from burnish_client.demo import run

    run(seed=seed)
