"""`burnish eval plan`: what a benchmark can show, before anything is asked. Offline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from burnish_client.cli.options.evaluation import Margin, file_option, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.evaluation import EvalRow

POWER = 0.8


def plan(
    targeted: Annotated[int | None, option("Held-out targeted questions.", None, "N", min=1)] = None,
    rest: Annotated[int | None, option("Questions outside the target.", None, "N", min=1)] = None,
    benchmark: Annotated[
        Path | None, file_option("A benchmark file: counts and shared documents are taken from there.")
    ] = None,
    targeted_slice: Annotated[
        list[str] | None, option("With --benchmark: this slice is the target; repeatable.", None, "NAME")
    ] = None,
    base: Annotated[
        Path | None,
        file_option("Earlier results of the base (JSONL of eval rows): counts, clusters and noise come from there."),
    ] = None,
    discordance: Annotated[
        float, option("Percent of questions that the adapter will change both ways.", None, "PERCENT", min=0, max=90)
    ] = 0.0,
    noise: Annotated[
        float | None,
        option("Percent of questions on which two samples of the base differ.", None, "PERCENT", min=0, max=90),
    ] = None,
    margin: Margin = 2.0,
    samples: Annotated[int, option("Times that each side will be asked.", None, "K", min=1)] = 1,
    cluster_size: Annotated[
        float | None, option("Questions that share a document, on average.", None, "M", min=1)
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say what a benchmark can show: the improvement it detects, and whether it can show that the rest held.

    At 80 % power and a one-sided level of 5 %. A document's questions are counted as one, the worst case.
    """
    from burnish.errors import InvalidInputError
    from burnish.verdict import read_rows

    if benchmark and base:
        raise InvalidInputError("give --benchmark or --base, not both: each has the questions")
    if targeted_slice and not benchmark:
        raise InvalidInputError(
            "--targeted-slice needs --benchmark FILE, whose slices it names", field="targeted_slice"
        )
    found = _counts(read_rows(base)) if base else _questions(benchmark, targeted_slice or []) if benchmark else {}
    questions = {"targeted": targeted or found.get("targeted"), "rest": rest or found.get("rest")}
    if not questions["targeted"] or not questions["rest"]:
        raise InvalidInputError(
            "give --targeted and --rest, --benchmark FILE with --targeted-slice, or --base with earlier results"
        )
    planned = make_plan(
        targeted=int(questions["targeted"]),
        rest=int(questions["rest"]),
        discordance=discordance / 100,
        noise=noise / 100 if noise is not None else found.get("noise") or 0.0,
        margin=margin / 100,
        samples=samples,
        cluster_size=cluster_size or found.get("cluster_size") or 1.0,
    )
    if json:
        return console.print_json(planned)
    _show(planned)


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
