"""`burnish verdict`: the decision from two result files, alone and offline. Its exit code is what a CI pipeline reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import Comparison, JudgeCalibration, Verdict

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
    margin: Annotated[
        float, typer.Option(metavar="POINTS", help="The rest may be worse by less than this.", min=0.1, max=50)
    ] = 2.0,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="What `burnish judge calibrate` wrote: lets that judge's grades decide.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Results of a control arm; may be repeated.", show_default=False),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Decide from two result files, alone and offline.

    Two claims: the held-out target improved, and the rest is not worse by the margin.

    Exit code: 0 ship, 10 investigate, 11 data-quality, 12 stop, 13 inconclusive, 2 bad input.
    """
    from burnish.schemas.evaluation import EXIT_CODES
    from burnish.verdict.decision import Thresholds, decide
    from burnish.verdict.pairing import read_rows

    arms = {name: (f"results in {path.name}", read_rows(path)) for name, path in map(_arm, arm or [])}
    decision = decide(
        read_rows(base),
        read_rows(candidate),
        thresholds=Thresholds(margin=margin / 100),
        calibration=None if calibration is None else _read_calibration(calibration),
        arms=arms,
    )
    if json:
        console.print_json(decision.model_dump(mode="json"))
    else:
        show(decision)
    raise typer.Exit(EXIT_CODES[decision.verdict])


def show(decision: Verdict) -> None:
    """The word, the reasons, the comparisons, the slices, the arms, what is still needed, noise, the regressions."""
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
    if decision.judged:
        named.append(("judged, undecided", decision.judged))
    for name, comparison in named:
        _add(shown, name, comparison)
    for comparison in decision.slices:
        _add(shown, f"[dim]slice[/] {console.one_line(comparison.slice)}", comparison)
    for arm in decision.arms:
        _add(shown, f"[dim]arm[/] {console.one_line(arm.name)}, target", arm.targeted)
        _add(shown, f"[dim]arm[/] {console.one_line(arm.name)}, rest", arm.rest)
    console.show_table(shown)
    _show_noise(decision)
    if decision.regressions:
        ids = ", ".join(regression.question_id for regression in decision.regressions[:SHOWN_REGRESSIONS])
        more = (
            f" and {len(decision.regressions) - SHOWN_REGRESSIONS} more"
            if len(decision.regressions) > SHOWN_REGRESSIONS
            else ""
        )
        out.print(f"[red]{len(decision.regressions)} regressions:[/] {console.one_line(ids)}{more}")


def _arm(text: str) -> tuple[str, Path]:
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise typer.BadParameter(f"{text!r} is not NAME=FILE", param_hint="--arm")
    return name, Path(path)


def _read_calibration(path: Path) -> JudgeCalibration:
    from pydantic import ValidationError

    from burnish.errors import InvalidInputError
    from burnish.schemas.evaluation import JudgeCalibration

    try:
        return JudgeCalibration.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(
            f"{path} is not a calibration: `burnish judge calibrate` writes one. {error.errors(include_url=False)[0]['msg']}"
        ) from error


def _show_noise(decision: Verdict) -> None:
    noise = decision.noise
    if noise is not None and noise.flip_rate is not None:
        console.out().print(
            f"[dim]noise[/]  base asked {noise.samples} times: {noise.flip_rate:.1%} of the rest flip, "
            f"{noise.self_loss_rate or 0:.1%} lost to itself"
        )


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
