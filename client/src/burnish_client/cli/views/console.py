"""What every command prints with. Results go to stdout (with --json nothing else), progress and messages to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table

from burnish.errors import BurnishError, Code, InvalidInputError
from burnish.files import write_atomically
from burnish.reporting.escaping import json_spelt_out, spelt_out

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from burnish_client.sdk.curator import Progress

UNLIMITED = 10_000  # columns
Model = TypeVar("Model")
JsonFlag = Annotated[bool, typer.Option("--json", help="Print only JSON on stdout.")]


class SafeConsole(Console):
    """Prints nothing that a terminal obeys but what rich itself makes: escape sequences and the like in text are spelt out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=spelt_out(segment.text))


def out() -> Console:
    """stdout, made when something is printed, so that its width and redirection are those of that moment."""
    return SafeConsole(highlight=False, emoji=False)


def err() -> Console:
    return SafeConsole(stderr=True, highlight=False, emoji=False)


def error(message: str, hint: str | None = None) -> None:
    """One red line (what and where) and one with what to do."""
    console = err()
    console.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    if hint:
        console.print(f"[dim]hint:[/] {escape(hint)}", soft_wrap=True)


def burnish_error(problem: BurnishError) -> None:
    """The message, the request id if it was the service's own defect, and the hint for its kind."""
    request_id = problem.metadata.get("request_id") if problem.code is Code.INTERNAL else None
    error(problem.message + (f" (request {request_id})" if request_id else ""), hint_of(problem))


def hint_of(problem: BurnishError) -> str | None:
    """What to do, unless the message says it already."""
    if "`" in problem.message:
        return None
    hints = {
        "UNAUTHENTICATED": "set BURNISH_TOKEN to the token of these services, or unset it to use the one of `burnish up`",
        "NOT_FOUND": "the matching `ls` command lists what there is",
        "UNAVAILABLE": "`burnish status` shows what runs, `burnish up` starts it",
        "INTERNAL": "`burnish status --json` names the log of each part; the traceback is in it, under the request id",
        "LEAKAGE": "take the named questions out of the training data, or build with another split",
        "ALREADY_EXISTS": "choose another name",
        "CORRUPT_DATA": "restore the named object from a backup",
    }
    return hints.get(problem.reason)


def note(message: str) -> None:
    """A line for people, on stderr."""
    err().print(message, soft_wrap=True)


def next_step(command: str) -> None:
    note(f"[dim]next:[/] {escape(command)}")


def print_json(value: Any, indent: int | None = 2) -> None:
    """JSON on stdout, never wrapped or coloured; indent None: on one line. Models and trainer messages may be among the values."""
    sys.stdout.write(json_spelt_out(json.dumps(value, indent=indent, ensure_ascii=False, default=_plain)) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    from burnish_client.sdk.trainer import to_dict

    return to_dict(value)


def table(*columns: str, title: str | None = None) -> Table:
    """A table without frames. A column that starts with '>' is a number and stays whole, one with '~' may be cut short.

    Others are folded into several lines, if the screen is too narrow and there is nothing to cut short.
    """
    made = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="bold underline",
        title=title,
        title_justify="left",
        title_style="bold",
    )
    for column in columns:
        name = column.lstrip(">~")
        if column.startswith(">"):
            made.add_column(name, justify="right", no_wrap=True)
        elif column.startswith("~"):
            made.add_column(name, overflow="ellipsis", no_wrap=True, min_width=6, ratio=1)
        else:
            made.add_column(name, overflow="fold")
    return made


def show_table(table: Table, console: Console | None = None) -> None:
    """Print as wide as the content. If that is too wide, the columns that may be cut share what the others leave."""
    console = console or out()
    table.expand = Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum > console.width
    console.print(table)


def show(result: Model, view: Callable[[Model], None], *, json: bool) -> None:
    """What a command found: as the view prints it, or as JSON."""
    if json:
        print_json(result)
    else:
        view(result)


def show_models(
    models: Sequence[Model], row: Callable[[Model], Sequence[str]], *columns: str, json: bool, empty: str
) -> None:
    """What an `ls` command prints: a table of `columns` with a row for each model, all of them as JSON, or the note `empty`."""
    show_broken(models)
    if json:
        return print_json(models)
    if not models:
        return note(empty)
    shown = table(*columns)
    for model in models:
        shown.add_row(*row(model))
    show_table(shown)


def show_broken(listed: Sequence[Any]) -> None:
    """Name the stored objects of a list that cannot be read, each on a line of stderr."""
    for broken in getattr(listed, "broken", ()):
        note(f"[yellow]broken:[/] {escape(broken.problem)}")


def facts(pairs: Iterable[tuple[str, object]]) -> Table:
    """Name and value, one line each. None and empty values are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            made.add_row(name, escape(str(value)))
    return made


def fold(text: str | None) -> str:
    """White space folded to single blanks, and spelt out here already, so that a table reckons with its width."""
    return spelt_out(" ".join((text or "").split()))


def one_line(text: str | None) -> str:
    """Text for a table cell or a line of markup: white space folded, markup made harmless."""
    return escape(fold(text))


def when(moment: datetime) -> str:
    """Local time to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def path_text(path: Path) -> str:
    """A path as short as it can be typed from here."""
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here)) if whole.is_relative_to(here) else str(whole)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def duration(seconds: float | None) -> str:
    """`7 s`, `2:05 min`, `1:02:05 h`."""
    if seconds is None:
        return "–"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{whole:02} h"
    return f"{minutes}:{whole:02} min" if minutes else f"{whole} s"


def size(size_bytes: int) -> str:
    """Decimal units, as disks and networks count."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def name_and_version(text: str) -> tuple[str, str | None]:
    """Split `name@version` or `name`. A slash works like the @, since references in manifests have it."""
    name, _, version = text.replace("/", "@", 1).partition("@")
    return name, version or None


def version_of(text: str) -> tuple[str, str]:
    """Name and version of `name@version`. InvalidInputError for a bare name, if a command must not guess the version."""
    name, version = name_and_version(text)
    if not name or version is None:
        raise InvalidInputError(f"{text!r}: give NAME@VERSION; the `ls` command lists the versions", field="version")
    return name, version


@contextmanager
def bar(what: str, *columns: ProgressColumn, total: int | None = None) -> Iterator[Callable[..., None] | None]:
    """A progress bar on stderr: gives what updates its task, or None if stderr is no terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    terminal = err()
    if not terminal.is_terminal:
        yield None
        return
    first = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24))
    with Progress(*first, *columns, console=terminal, transient=True) as bars:
        yield partial(bars.update, bars.add_task(what, total=total, more=""))


@contextmanager
def upload_progress(path: Path) -> Iterator[Progress]:
    """A bar that the yielded callback moves."""
    from rich.progress import DownloadColumn, TimeElapsedColumn

    columns = (DownloadColumn(), TimeElapsedColumn())
    with bar(f"sending {path.name}", *columns, total=path.stat().st_size) as update:

        def advance(sent: int, total: int) -> None:
            if update:
                update(completed=sent, description=f"{'sending' if sent < total else 'reading'} {path.name}")

        yield advance


@contextmanager
def working(message: str) -> Iterator[None]:
    """A spinner on stderr while something takes long; nothing if stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield
        return
    with console.status(message):
        yield


def write_output(chunks: Iterable[bytes], target: Path | None) -> int:
    """Write bytes to a file (whole or not at all) or to stdout, byte by byte unless it is a terminal. Returns how many lines."""
    lines = 0

    def counted() -> Iterator[bytes]:
        nonlocal lines
        for chunk in chunks:
            lines += chunk.count(b"\n")
            yield chunk

    if target is None and sys.stdout.isatty():
        sys.stdout.write(spelt_out(b"".join(counted()).decode(errors="replace")))
        sys.stdout.flush()
    elif target is None:
        sys.stdout.buffer.writelines(counted())
        sys.stdout.buffer.flush()
    else:
        write_atomically(target, counted())
    return lines
