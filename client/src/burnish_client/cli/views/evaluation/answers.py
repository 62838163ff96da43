"""The progress of answers as they come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish_client.evaluation.asking.ask import Progress

PLAIN_LINES = 20  # printed over a whole run if stderr is no terminal


@contextmanager
def resumable(what: str, kept: Path) -> Iterator[Callable[[Progress], None]]:
    """`answer_progress`; Ctrl-C says where the answers so far are kept, and exits 130."""
    try:
        with answer_progress(what) as progress:
            yield progress
    except KeyboardInterrupt:
        console.note(
            f"[yellow]interrupted:[/] the {what} so far are in {kept}; the same command asks only what is missing"
        )
        raise typer.Exit(130) from None


@contextmanager
def answer_progress(what: str) -> Iterator[Callable[[Progress], None]]:
    """A bar with answers, errors, what was reused and time left; about PLAIN_LINES lines if stderr is no terminal."""
    from rich.progress import MofNCompleteColumn, TextColumn

    with console.bar(what, MofNCompleteColumn(), TextColumn("{task.fields[more]}")) as update:
        if update is None:
            yield _plain(what)
            return

        def show(progress: Progress) -> None:
            update(completed=progress.done, total=progress.total, more=_more(progress))

        yield show


def _plain(what: str) -> Callable[[Progress], None]:
    told, total = -1, -1

    def show(progress: Progress) -> None:
        nonlocal told, total
        if progress.total != total:  # something else is asked now
            told, total = -1, progress.total
        share = PLAIN_LINES * progress.done // max(progress.total, 1)
        if share > told:
            told = share
            console.note(f"{what}: {progress.done}/{progress.total} {_more(progress)}".rstrip())

    return show


def _more(progress: Progress) -> str:
    left = f"{console.duration(progress.seconds_left)} left" if progress.seconds_left else ""
    reused = f"{progress.reused:,} reused" if progress.reused else ""
    errors = f"{progress.errors} errors" if progress.errors else ""
    return "  ".join(word for word in (left, reused, errors) if word)
