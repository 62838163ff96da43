"""How a sweep reads on a screen. Used by `burnish train sweep`."""

from __future__ import annotations

from burnish.schemas.training.hyperparameters import value_text
from burnish_client.cli.views import console
from burnish_client.tuning.sweep import SweepResult, TrialResult

COLOURS = {"finished": "green", "pruned": "yellow", "failed": "red", "running": "cyan"}


def show_result(result: SweepResult) -> None:
    """The trials, best first, then the command that trains with the best one's values."""
    searched = _differing(result.trials)
    shown = console.table(">trial", "outcome", *(f">{name}" for name in searched), ">loss", ">run", "~job", "~why")
    for trial in sorted(result.trials, key=_rank):
        loss = "–" if trial.loss is None else f"{trial.loss:.4f}"
        shown.add_row(
            f"[bold]{trial.number}[/]" if trial.number == result.best else str(trial.number),
            f"[{COLOURS[trial.outcome]}]{trial.outcome}[/]",
            *(value_text(trial.values[name]) if name in trial.values else "–" for name in searched),
            loss,
            "–" if trial.percent is None else f"{trial.percent} %",
            trial.job_id or "–",
            console.one_line(trial.why),
        )
    console.show_table(shown)
    console.out().print(f"[dim]loss[/]  {console.one_line(result.metric)}; comparable within {result.method} only")
    best = next((trial for trial in result.trials if trial.number == result.best), None)
    if best is None:
        return console.note("no trial has finished yet")
    console.out().print(f"[dim]best[/]  trial {best.number}, adapter {best.adapter}")
    console.out().print(f"[dim]again[/] {result.command}", soft_wrap=True)
    console.next_step(f"burnish eval --benchmark NAME --adapter {best.adapter}")


def _differing(trials: list[TrialResult]) -> list[str]:
    """Names of the values that differ between trials."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    return [name for name in names if len({trial.values.get(name) for trial in trials}) > 1]


def _rank(trial: TrialResult) -> tuple[int, float, int]:
    order = ("finished", "running", "pruned", "failed")
    return order.index(trial.outcome), trial.loss if trial.loss is not None else float("inf"), trial.number
