"""What is printed of a verdict, of an eval, and of a comparison of methods. Called by their commands and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.evaluation import BaselineRecord, Comparison, Cost, Verdict
    from burnish_client.evaluation.comparison import Evaluation
    from burnish_client.tuning.recommendation import MethodResult, PairwiseComparison, Recommendation

COLOURS = {
    "ship": "bold green",
    "investigate": "bold yellow",
    "data-quality": "bold yellow",
    "stop": "bold red",
    "inconclusive": "bold cyan",
}
SHOWN_REGRESSIONS = 10


def show_verdict(decision: Verdict) -> None:
    """The word, the reasons, the comparisons, the slices, the baselines, the noise and the regressions."""
    out = console.out()
    out.print(f"[{COLOURS[decision.verdict]}]{decision.verdict}[/]")
    if decision.provider:
        out.print(f"[dim]both models answered at[/] {console.one_line(decision.provider)}", soft_wrap=True)
    sentences = Table.grid(padding=(0, 1))
    for reason in decision.reasons:
        sentences.add_row(" •", console.one_line(reason))
    for warning in decision.warnings:
        sentences.add_row(" [yellow]![/]", f"[yellow]{console.one_line(warning)}[/]")
    out.print(sentences)
    shown = console.table("questions", ">n", ">base", ">candidate", ">change", ">95 % interval", ">p")
    _add(shown, "targeted, held out", decision.targeted)
    _add(shown, "targeted, trained on", decision.trained)
    _add(shown, "rest", decision.rest)
    _add(shown, "rest, anchors", decision.anchored)
    if decision.overall:
        _add(shown, "all, weighted", decision.overall)
    if decision.judged:
        _add(shown, "judged, undecided", decision.judged)
    for comparison in decision.slices:
        _add(shown, f"[dim]slice[/] {console.one_line(comparison.slice)}", comparison)
    for baseline in decision.arms:
        _add(shown, f"[dim]baseline[/] {console.one_line(baseline.name)}, target", baseline.targeted)
        _add(shown, f"[dim]baseline[/] {console.one_line(baseline.name)}, rest", baseline.rest)
    console.show_table(shown)
    noise = decision.noise
    if noise is not None and noise.flip_rate is not None:
        out.print(
            f"[dim]noise[/]  base asked {noise.samples} times: {noise.flip_rate:.1%} of the rest flip, "
            f"{noise.self_loss_rate or 0:.1%} lost to itself"
        )
    if decision.regressions:
        ids = ", ".join(regression.question_id for regression in decision.regressions[:SHOWN_REGRESSIONS])
        hidden = len(decision.regressions) - SHOWN_REGRESSIONS
        more = f" and {hidden} more" if hidden > 0 else ""
        out.print(f"[red]{len(decision.regressions)} regressions:[/] {console.one_line(ids)}{more}")


def show_evaluation(done: Evaluation) -> None:
    """The verdict, what each baseline did, what it cost, and where the files are."""
    show_verdict(done.verdict)
    out, folder = console.out(), console.path_text(done.folder)
    for baseline in done.manifest.arms:
        out.print(f"[dim]baseline[/] {baseline.name}  [dim]{console.one_line(_what(baseline))}[/]")
    _show_costs(done.costs)
    if done.reused_base_answers:
        console.note(f"[dim]{done.reused_base_answers:,} answers of the base were taken from the run log[/]")
    out.print(f"[dim]eval[/]        {done.manifest.id}")
    out.print(f"[dim]report[/]      {folder}/report.html", soft_wrap=True)
    out.print(f"[dim]postmortem[/]  {folder}/postmortem.md", soft_wrap=True)
    arms = "".join(
        f" --arm {baseline.name}={folder}/{baseline.file}" for baseline in done.manifest.arms if baseline.file
    )
    console.next_step(f"burnish verdict --base {folder}/base.jsonl --candidate {folder}/candidate.jsonl{arms} --json")
    if done.verdict.verdict == "ship" and any(parent.kind == "adapter" for parent in done.manifest.parents):
        console.next_step(f"burnish adapters promote {done.manifest.candidate_model}")


def _what(baseline: BaselineRecord) -> str:
    return f"not asked: {baseline.not_applicable}" if baseline.not_applicable else baseline.what


def show_methods(
    results: Sequence[MethodResult], pairs: Sequence[PairwiseComparison], recommendation: Recommendation
) -> None:
    """One table of methods, one of their direct comparisons, and the recommendation."""
    hosted = any(result.is_hosted for result in results)
    money = (">price",) if hosted else ()
    shown = console.table("~method", "verdict", ">targeted", ">of", ">rest", ">of", ">training", ">memory", *money)
    for result in results:
        verdict = result.verdict
        price = [_price(result)] if hosted else []
        if verdict is None:
            shown.add_row(result.method, "[red]none[/]", *["–"] * 6, *price)
            continue
        shown.add_row(
            result.method,
            f"[{COLOURS[verdict.verdict]}]{verdict.verdict}[/]",
            *_rates_and_count(verdict.targeted),
            *_rates_and_count(verdict.rest),
            console.duration(result.seconds),
            "–" if result.peak_memory_bytes is None else console.size(result.peak_memory_bytes),
            *price,
        )
    console.show_table(shown)
    _show_pairs(pairs)
    out = console.out()
    for result in results:
        if result.folder:
            report = f"{console.path_text(Path(result.folder))}/report.html"
            out.print(f"[dim]{result.method}[/]  {result.adapter}, eval {result.eval_id}, {report}", soft_wrap=True)
    colour = "bold green" if recommendation.settled else "bold cyan"
    out.print(f"[{colour}]{console.one_line(recommendation.sentence)}[/]")
    adapter = next((r.adapter for r in results if r.method == recommendation.method), None)
    if adapter:
        console.next_step(f"burnish adapters show {adapter}")


def _price(result: MethodResult) -> str:
    """Of the training, as it was estimated; here it costs nothing that anybody charges."""
    if not result.is_hosted:
        return "–"
    return "not known" if result.cost_usd is None else f"${result.cost_usd:,.2f}"


def _show_pairs(pairs: Sequence[PairwiseComparison]) -> None:
    shown = console.table("directly", ">n", ">change", ">95 % interval", ">fixed", ">regressed", ">p")
    for pair in pairs:
        name = f"{pair.second} − {pair.first}"
        for kind, c, p_value in (("targeted", pair.targeted, pair.targeted_p), ("rest", pair.rest, pair.rest_p)):
            if c.n:
                counts = str(c.gained), str(c.lost)
                shown.add_row(f"{name}, {kind}", str(c.n), _points(c.delta), _interval(c), *counts, f"{p_value:.2g}")
    if shown.row_count:
        console.show_table(shown)


def _show_costs(costs: Sequence[Cost]) -> None:
    shown = console.table("cost", ">asked", ">reused", ">tokens in", ">tokens out", ">money")
    for cost in costs:
        money = "" if cost.money is None else f"{cost.money:.4g} {cost.currency}".rstrip()
        tokens = f"{cost.prompt_tokens:,}", f"{cost.completion_tokens:,}"
        shown.add_row(cost.side, f"{cost.asked:,}", f"{cost.reused:,}", *tokens, money)
    console.show_table(shown)


def _add(shown: Table, name: str, c: Comparison) -> None:
    if c.n:
        rates = console.percent(c.base), console.percent(c.candidate)
        p_value = "–" if c.p_value is None else f"{c.p_value:.2g}"
        shown.add_row(name, str(c.n), *rates, _points(c.delta), _interval(c), p_value)


def _rates_and_count(comparison: Comparison) -> tuple[str, str]:
    """Pass rates of base and adapter, and of how many questions."""
    if not comparison.n:
        return "–", "0"
    return f"{console.percent(comparison.base)} → {console.percent(comparison.candidate)}", str(comparison.n)


def _interval(c: Comparison) -> str:
    return "–" if c.ci_low is None or c.ci_high is None else f"{_points(c.ci_low)} … {_points(c.ci_high)}"


def _points(share: float | None) -> str:
    return "–" if share is None else f"{share:+.0%}"
