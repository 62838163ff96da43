"""`burnish verdict`: the decision from two result files, alone and offline. Its exit code is what a CI pipeline reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from burnish_client.cli import console
from burnish_client.cli.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import Comparison, Verdict

COLOURS = {
    "ship": "bold green",
    "investigate": "bold yellow",
    "data-quality": "bold yellow",
    "stop": "bold red",
    "inconclusive": "bold cyan",
}
SHOWN_REGRESSIONS = 10


def verdict(
    base: Annotated[
        Path, typer.Option(help="Results of the base model (JSONL of eval rows).", exists=True, dir_okay=False)
    ],
    candidate: Annotated[Path, typer.Option(help="Results of the candidate.", exists=True, dir_okay=False)],
    json: JsonFlag = False,
) -> None:
    """Decide from two result files, alone and offline.

    Exit code: 0 ship, 10 investigate, 11 data-quality, 12 stop, 13 inconclusive, 2 bad input.
    """
    from burnish.pairing import read_rows
    from burnish.schemas.evaluation import EXIT_CODES
    from burnish.verdict import decide

    decision = decide(read_rows(base), read_rows(candidate))
    if json:
        console.print_json(decision.model_dump(mode="json"))
    else:
        show(decision)
    raise typer.Exit(EXIT_CODES[decision.verdict])


def show(decision: Verdict) -> None:
    """The word, the reasons, the four comparisons, the slices, the regressions."""
    out = console.out()
    out.print(f"[{COLOURS[decision.verdict]}]{decision.verdict}[/]")
    sentences = Table.grid(padding=(0, 1))
    for reason in decision.reasons:
        sentences.add_row(" •", console.one_line(reason))
    for warning in decision.warnings:
        sentences.add_row(" [yellow]![/]", f"[yellow]{console.one_line(warning)}[/]")
    out.print(sentences)
    shown = console.table("questions", ">n", ">base", ">candidate", ">change", ">95 % interval", ">p")
    named = [
        ("targeted, held out", decision.targeted),
        ("targeted, trained on", decision.trained),
        ("rest", decision.rest),
        ("rest, anchors", decision.anchored),
    ]
    for name, comparison in named:
        _add(shown, name, comparison)
    for comparison in decision.slices:
        _add(shown, f"[dim]slice[/] {console.one_line(comparison.slice)}", comparison)
    console.show_table(shown)
    if decision.regressions:
        ids = ", ".join(regression.question_id for regression in decision.regressions[:SHOWN_REGRESSIONS])
        more = (
            f" and {len(decision.regressions) - SHOWN_REGRESSIONS} more"
            if len(decision.regressions) > SHOWN_REGRESSIONS
            else ""
        )
        out.print(f"[red]{len(decision.regressions)} regressions:[/] {console.one_line(ids)}{more}")


def _add(shown: Table, name: str, comparison: Comparison) -> None:
    if not comparison.n:
        return
    interval = (
        f"{comparison.ci_low:+.0%} … {comparison.ci_high:+.0%}"
        if comparison.ci_low is not None and comparison.ci_high is not None
        else "–"
    )
    change = f"{comparison.delta:+.0%}" if comparison.delta is not None else "–"
    p_value = "–" if comparison.p_value is None else f"{comparison.p_value:.2g}"
    shown.add_row(
        name,
        str(comparison.n),
        console.percent(comparison.base),
        console.percent(comparison.candidate),
        change,
        interval,
        p_value,
    )
