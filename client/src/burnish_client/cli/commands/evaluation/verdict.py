"""`burnish verdict`: the decision from two result files, alone and offline. Its exit code is what a CI pipeline reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burnish_client.cli.options.evaluation import Calibration, Margin, file_option, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag


def verdict(
    base: Annotated[Path, file_option("Results of the base model (JSONL of eval rows).")],
    candidate: Annotated[Path, file_option("Results of the candidate.")],
    margin: Margin = 2.0,
    calibration: Calibration = None,
    arm: Annotated[list[str] | None, option("Results of a baseline; repeatable.", None, "NAME=FILE")] = None,
    json: JsonFlag = False,
) -> None:
    """Decide from two result files, alone and offline.

    Two claims: the held-out target improved, and the rest is not worse by the margin.

    Exit code: 0 ship, 10 investigate, 11 data-quality, 12 stop, 13 inconclusive, 2 bad input.
    """
    from burnish.schemas.evaluation import EXIT_CODES
    from burnish.verdict import Thresholds, decide, read_rows
    from burnish_client.cli.views.evaluation import show_verdict
    from burnish_client.evaluation.calibration import read_calibration

    baselines = {name: (f"results in {path.name}", read_rows(path)) for name, path in map(_arm, arm or [])}
    decision = decide(
        read_rows(base),
        read_rows(candidate),
        thresholds=Thresholds(margin=margin / 100),
        calibration=read_calibration(calibration) if calibration else None,
        baselines=baselines,
    )
    if json:
        console.print_json(decision.model_dump(mode="json"))
    else:
        show_verdict(decision)
    raise typer.Exit(EXIT_CODES[decision.verdict])


def _arm(text: str) -> tuple[str, Path]:
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise typer.BadParameter(f"{text!r} is not NAME=FILE", param_hint="--arm")
    return name, Path(path)
