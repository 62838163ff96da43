"""What commands that ask a model over HTTP share: the benchmark, the options, the progress. Used by `eval` and `benchmark run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
    from burnish_client.evaluation import Progress
    from burnish_client.sdk.curator import CuratorClient

PLAIN_LINES = 20  # printed over a whole run where stderr is no terminal

Concurrency = Annotated[
    int,
    typer.Option(help="Most requests under way at once; how many an endpoint gets is found out.", metavar="N", min=1),
]
MOST_CONCURRENCY = 256
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="PARAMETER",
        help="Request parameter that the endpoint does not take (seed, temperature); repeatable.",
        show_default=False,
    ),
]
MaxTokensName = Annotated[
    Literal["max_tokens", "max_completion_tokens"],
    typer.Option("--max-tokens-name", help="What the endpoint calls the answer budget."),
]
MaxTokens = Annotated[
    int, typer.Option(help="Answer budget of a question that has none of its own.", metavar="N", min=1)
]
Temperature = Annotated[float, typer.Option(help="0 takes the likeliest answer.", metavar="X", min=0)]
Seed = Annotated[int, typer.Option(help="Of the sampling; sample i uses this plus i.", metavar="N")]
BenchmarkSource = Annotated[
    str, typer.Option("--benchmark", metavar="FILE|NAME[@VERSION]", help="A file is imported first.")
]


def find_benchmark(client: CuratorClient, source: str) -> BenchmarkManifest:
    """The benchmark that a file holds (imported now; the same questions are the same version) or that has this name."""
    path = Path(source)
    if path.suffix in (".jsonl", ".gz") or path.is_file():
        return client.import_benchmark(path, name_of(path))
    return client.benchmark(*console.name_and_version(source))


def name_of(path: Path) -> str:
    """`My Runs` for `My Runs.jsonl.gz`, in the characters that a name may have."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl").lower().replace(" ", "-")


def read_benchmark(path: Path) -> tuple[BenchmarkManifest, list[BenchmarkQuestion]]:
    """A benchmark from its file alone, JSONL or gzip of it. InvalidInputError as burnish.curation.benchmarks says."""
    import gzip

    from burnish.curation.benchmarks import build_benchmark
    from burnish.schemas.benchmark import BenchmarkQuestion

    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    built = build_benchmark([content], name_of(path))
    return built.manifest, [BenchmarkQuestion.model_validate_json(line) for line in built.questions.splitlines()]


def targeted_by_slice(questions: Sequence[BenchmarkQuestion], slices: Sequence[str]) -> list[str]:
    """Ids of the questions in these slices. InvalidInputError for a slice that no question has."""
    from burnish.errors import InvalidInputError

    missing = sorted(set(slices) - {question.slice for question in questions})
    if missing:
        known = ", ".join(sorted({question.slice for question in questions}))
        raise InvalidInputError(
            f"no question has slice {missing[0]!r}: the benchmark has {known}", field="targeted_slice"
        )
    return [question.question_id for question in questions if question.slice in slices]


@contextmanager
def answer_progress(what: str) -> Iterator[Callable[[Progress], None]]:
    """A bar with answers, errors, what was reused and time left; about PLAIN_LINES lines where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    terminal = console.err()
    if not terminal.is_terminal:
        yield _plain(what)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Bars(*columns, console=terminal, transient=True) as bars:
        task = bars.add_task(what, total=None, more="")

        def show(progress: Progress) -> None:
            bars.update(task, completed=progress.done, total=progress.total, more=_more(progress))

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
