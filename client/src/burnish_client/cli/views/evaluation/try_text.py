"""How a trial of cheap means reads on a screen."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish_client.evaluation.trying import Sampled, Trial

FEW = 8
OUTCOMES = {
    "does-it": "[green]does it[/]",
    "helps": "[cyan]helps[/]",
    "no-difference": "[dim]not shown to help[/]",
    "not-applicable": "[dim]cannot be tried[/]",
}


def as_json(trial: Trial, sampled: Sampled, run_log_id: str, cluster: str, model: str) -> dict[str, Any]:
    does_it = trial.does_it
    return {
        "run_log": run_log_id,
        "cluster": cluster,
        "model": model,
        "questions": [failure.question.question_id for failure in sampled.asked],
        "by_signature": sum(failure.by_signature is not None for failure in sampled.asked),
        "tried": [asdict(tried) for tried in (trial.base, *trial.arms)],
        "does_it": does_it.name if does_it else None,
    }


def show(trial: Trial, sampled: Sampled, run_log_id: str, cluster: str) -> None:
    """One table, what could not be tried, and what follows."""
    table = console.table("means", ">passed", ">of", ">fixed", ">broken", ">errors", "outcome")
    for tried in (trial.base, *trial.arms):
        if tried.outcome == "not-applicable":
            continue
        counts = (tried.passed, tried.asked, tried.fixed, tried.broken, tried.errors)
        is_plain = tried is trial.base and tried.outcome != "does-it"
        table.add_row(tried.name, *(f"{count:,}" for count in counts), "" if is_plain else OUTCOMES[tried.outcome])
    console.show_table(table)
    out = console.out()
    for tried in trial.arms:
        if tried.outcome == "not-applicable":
            out.print(f"[dim]{tried.name} cannot be tried: {console.one_line(tried.what)}[/]")
    by_signature = sum(failure.by_signature is not None for failure in sampled.asked)
    out.print(_answer(trial, cluster, is_known=by_signature == 0))
    if by_signature:
        console.note(
            f"[yellow]{by_signature:,} of {len(sampled.asked):,} questions have no known answer:[/] they pass if they do not fail in "
            "this way, right or not"
        )
    if sampled.ungradeable:
        console.note(
            f"[yellow]{sampled.ungradeable:,} questions were left out:[/] nothing says what is right (--grader)"
        )
    if len(sampled.asked) < FEW:
        console.note(f"[yellow]{len(sampled.asked)} questions are few:[/] take it as a hint")
    if trial.does_it is None:
        console.next_step(f"burnish review export {run_log_id} --label {shlex.quote(cluster)} --out review.jsonl")


def _answer(trial: Trial, cluster: str, is_known: bool) -> str:
    """is_known: whether a right answer to every question is known."""
    does_it, name = trial.does_it, console.one_line(cluster)
    if does_it is trial.base:
        return (
            f"[bold yellow]Do not fine-tune:[/] the model as it is {'passes' if is_known else 'does not fail this way in'} {does_it.passed} "
            f"of {does_it.asked}. The failures of {name} were chance, or another model's, prompt's or setting's."
        )
    if does_it is not None:
        return (
            f"[bold yellow]Do not fine-tune for {name}:[/] {does_it.name} does it, {does_it.passed} of {does_it.asked}. Use it, and "
            "see with `burnish eval --control` whether the rest holds."
        )
    best = max(trial.arms, key=lambda tried: tried.passed, default=None)
    if best is not None and best.outcome == "helps":
        return f"[bold]{best.name} helps, and is not enough:[/] {best.passed} of {best.asked}. Fine-tuning may do the rest."
    return f"[bold]None of the cheaper means does it.[/] Fine-tuning may mend {name}."
