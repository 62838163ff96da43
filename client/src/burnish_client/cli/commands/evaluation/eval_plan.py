"""`burnish eval plan`: what a benchmark can show, before anything is asked. Offline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import Options, file_option, grouped, option
from burnish_client.cli.options.evaluation import MARGIN_HELP, RESULT
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import EvalRow

POWER = 0.8


class PlanOptions(Options):
    """What is known of the questions and of the noise."""

    targeted: int | None = option(None, "Held-out targeted questions.", metavar="N", min=1)
    rest: int | None = option(None, "Questions outside the target.", metavar="N", min=1)
    benchmark: Path | None = file_option(None, "A benchmark file: counts and shared documents are taken from there.")
    targeted_slice: list[str] | None = option(
        None, "With --benchmark: this slice is the target; repeatable.", metavar="NAME"
    )
    base: Path | None = file_option(
        None, "Earlier results of the base (JSONL of eval rows): counts, clusters and noise come from there."
    )
    discordance: float = option(
        0.0, "Percent of questions that the adapter will change both ways.", metavar="PERCENT", min=0, max=90
    )
    noise: float | None = option(
        None, "Percent of questions on which two samples of the base differ.", metavar="PERCENT", min=0, max=90
    )
    margin: float = option(2.0, MARGIN_HELP, RESULT, "POINTS", min=0.1, max=50.0)
    samples: int = option(1, "Times that each side will be asked.", metavar="K", min=1)
    cluster_size: float | None = option(None, "Questions that share a document, on average.", metavar="M", min=1)
    json: JsonFlag = False


@grouped
def plan(options: PlanOptions) -> None:
    """Say what a benchmark can show: the improvement it detects, and whether it can show that the rest held.

    At 80 % power and a one-sided level of 5 %. A document's questions are counted as one, the worst case.
    """
    from burnish.verdict import read_rows

    benchmark, base = options.benchmark, options.base
    if benchmark and base:
        raise InvalidInputError("give --benchmark or --base, not both: each has the questions")
    if options.targeted_slice and not benchmark:
        raise InvalidInputError(
            "--targeted-slice needs --benchmark FILE, whose slices it names", field="targeted_slice"
        )
    found: dict[str, Any] = {}
    if base:
        found = _counts(read_rows(base))
    elif benchmark:
        found = _questions(benchmark, options.targeted_slice or [])
    targeted, rest = options.targeted or found.get("targeted"), options.rest or found.get("rest")
    if not targeted or not rest:
        raise InvalidInputError(
            "give --targeted and --rest, --benchmark FILE with --targeted-slice, or --base with earlier results"
        )
    planned = make_plan(
        targeted=targeted,
        rest=rest,
        discordance=options.discordance / 100,
        noise=options.noise / 100 if options.noise is not None else found.get("noise") or 0.0,
        margin=options.margin / 100,
        samples=options.samples,
        cluster_size=options.cluster_size or found.get("cluster_size") or 1.0,
    )
    if options.json:
        return console.print_json(planned)
    _show(planned)
    if base and found.get("noise") == 0:
        console.note(
            "No two samples of the base differ. If they were greedy (temperature 0), that is no evidence of its noise: "
            "`burnish eval --temperature 0.7 --samples 4 --candidate-samples 4` measures it."
        )


def make_plan(
    *, targeted: int, rest: int, discordance: float, noise: float, margin: float, samples: int, cluster_size: float
) -> dict[str, Any]:
    """The plan as it is printed under --json. Shares in [0, 1]. needs: how many questions would reach 80 % power; None = none would."""
    from burnish.statistics import detectable_difference, noninferiority_power, required_rest_questions

    expected = min(1.0, discordance + noise / samples)
    independent = [math.floor(n / cluster_size) for n in (targeted, rest)]
    needs = required_rest_questions(expected, margin, power=POWER)
    quiet = max(discordance, 1e-9)
    alone = required_rest_questions(min(1.0, discordance), margin, power=POWER)
    enough = alone is not None and alone <= independent[1] and needs is not None and needs > independent[1]
    return {
        "targeted": targeted,
        "rest": rest,
        "discordance": discordance,
        "noise": noise,
        "margin": margin,
        "samples": samples,
        "cluster_size": cluster_size,
        "power": POWER,
        "detectable_improvement": detectable_difference(independent[0], min(expected, 0.99), power=POWER),
        "noninferiority_power": noninferiority_power(independent[1], expected, margin),
        "needs_rest": None if needs is None else math.ceil(needs * cluster_size),
        "needs_samples": _samples(independent[1], quiet, noise, margin) if enough else None,
    }


def _samples(rest: int, discordance: float, noise: float, margin: float) -> int | None:
    """Samples of each side that bring the noise down far enough; None if fifty do not."""
    from burnish.statistics import required_rest_questions

    for samples in range(2, 51):
        needs = required_rest_questions(min(1.0, discordance + noise / samples), margin, power=POWER)
        if needs is not None and needs <= rest:
            return samples
    return None


def _questions(benchmark: Path, slices: list[str]) -> dict[str, Any]:
    """Questions of either kind and their mean cluster size. All are taken as held out: what is trained on leaves fewer."""
    from burnish_client.evaluation.grade import question_clusters
    from burnish_client.evaluation.request import read_benchmark, targeted_by_slice

    _, questions = read_benchmark(benchmark)
    targeted = set(targeted_by_slice(questions, slices))
    cluster_of = question_clusters(questions)
    kinds = Counter("targeted" if q.question_id in targeted else "rest" for q in questions)
    return {
        **kinds,
        "cluster_size": _cluster_size([cluster_of[q.question_id] or f"question {q.question_id}" for q in questions]),
    }


def _cluster_size(names: Sequence[str]) -> float:
    """Questions in the cluster of a question, on average over questions."""
    return sum(size * size for size in Counter(names).values()) / max(1, len(names))


def _counts(rows: Sequence[EvalRow]) -> dict[str, Any]:
    """Held-out questions of either kind, their mean cluster size, and how often two samples of a rest question differ."""
    from burnish.statistics import disagreement_rate

    held_out = {row.question_id: row for row in rows if row.held_out}
    passes: dict[str, list[bool]] = {}
    for row in rows:
        if row.held_out and not row.targeted and row.passed is not None:
            passes.setdefault(row.question_id, []).append(row.passed)
    kinds = Counter("targeted" if row.targeted else "rest" for row in held_out.values())
    return {
        **kinds,
        "noise": disagreement_rate(list(passes.values())),
        "cluster_size": _cluster_size([row.cluster or f"question {row.question_id}" for row in held_out.values()]),
    }


def _show(planned: dict[str, Any]) -> None:
    out = console.out()
    detects = planned["detectable_improvement"]
    target = "no improvement" if detects is None else f"an improvement of {100 * detects:.0f} points or more"
    out.print(f"target  {planned['targeted']:,} held-out questions detect {target} at 80 % power")
    out.print(
        f"rest    {planned['rest']:,} questions show that it is not worse by {100 * planned['margin']:g} points "
        f"with a power of {planned['noninferiority_power']:.0%}"
    )
    needs = planned["needs_rest"]
    if planned["noninferiority_power"] >= POWER:
        return
    out.print(f"needs   {'no reachable number of' if needs is None else f'{needs:,}'} rest questions for 80 %")
    if planned["needs_samples"]:
        out.print(f"or      as many questions with both sides asked {planned['needs_samples']} times")
