"""`burnish verdict`: the decision from two result files, alone and offline. Its exit code is what a CI pipeline reads."""

from __future__ import annotations

from pathlib import Path

import typer

from burnish_client.cli.options.common import file_option, grouped, option
from burnish_client.cli.options.evaluation import DecisionOptions
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag
from burnish_client.cli.views.evaluation.evaluation_text import show_verdict


class VerdictOptions(DecisionOptions):
    """The results, and what the verdict goes by."""

    base: Path = file_option(..., "Results of the base model (JSONL of eval rows).")
    candidate: Path = file_option(..., "Results of the candidate.")
    arm: list[str] | None = option(None, "Results of a baseline; repeatable.", metavar="NAME=FILE")
    json: JsonFlag = False


@grouped
def verdict(options: VerdictOptions) -> None:
    """Decide from two result files, alone and offline.

    Two claims: the held-out target improved, and the rest is not worse by the margin.

    Exit code: 0 ship, 10 investigate, 11 data-quality, 12 stop, 13 inconclusive, 2 bad input.
    """
    from burnish.schemas.evaluation import EXIT_CODES
    from burnish.verdict import decide, read_rows

    thresholds, calibration = options.limits()
    baselines = {name: (f"results in {path.name}", read_rows(path)) for name, path in map(_arm, options.arm or [])}
    base, candidate = read_rows(options.base), read_rows(options.candidate)
    decided = decide(base, candidate, thresholds=thresholds, calibration=calibration, baselines=baselines)
    console.show(decided, show_verdict, json=options.json)
    raise typer.Exit(EXIT_CODES[decided.verdict])


def _arm(text: str) -> tuple[str, Path]:
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise typer.BadParameter(f"{text!r} is not NAME=FILE", param_hint="--arm")
    return name, Path(path)
