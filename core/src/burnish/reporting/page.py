"""`report.html`: one self-contained file, from the template, the style and the filter script beside this module."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from burnish.reporting import examples, sentences
from burnish.reporting.axis import Axis, axis_over
from burnish.reporting.escaping import html_with_code, visible
from burnish.reporting.meta import ReportMeta, lineage, method
from burnish.reporting.patterns import regression_traits
from burnish.reporting.training import finding_sentence, finding_tag, foretold, run_facts
from burnish.schemas.evaluation import Comparison, Cost, EvalRow, Verdict
from burnish.verdict import Pair, pair

MOST_DISCORDANT = 500
MOST_STILL_FAILING = 25
LEAST_SPAN = 0.1  # of an axis of differences of rates: no difference of a point looks like a cliff
VERDICT_COMMAND = "burnish verdict --base base.jsonl --candidate candidate.jsonl --json"


def report_html(
    verdict: Verdict, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow], meta: ReportMeta
) -> str:
    """The report as one HTML file that asks for nothing outside itself; opens from disk, in print and on a phone.

    Its one script filters the discordant pairs, allowed by its hash in the page's content security policy; without it
    every pair is shown. Up to MOST_DISCORDANT of them are on the page, regressions and losses first, and the page says
    how many it leaves out.
    """
    pairs = pair(base_rows, candidate_rows).pairs
    questions = {question.question_id: question for question in meta.questions}
    base_labels, candidate_labels = examples.labels_of(base_rows), examples.labels_of(candidate_rows)
    make = examples.Examples(questions, base_labels, candidate_labels)
    lost = {regression.question_id for regression in verdict.regressions}
    changed, failing = examples.discordant(pairs, lost), examples.still_failing(pairs)
    shown = [make.of(p, lost) for p in changed[:MOST_DISCORDANT]]
    script = _script()
    return _template().render(
        verdict=verdict,
        meta=meta,
        script=Markup(script),
        script_hash=_hash(script),
        headline=sentences.headline(verdict),
        slices=[(s.slice, s) for s in sorted(verdict.slices, key=lambda s: (s.delta or 0.0, s.slice))],
        slice_axis=_axis(verdict.slices),
        axis=_axis,
        rest_axis=_axis([verdict.rest], -verdict.margin),
        arm_axis=_axis([c for arm in verdict.arms for c in (arm.against_candidate, arm.rest)], -verdict.margin),
        probe_rows=_probe_rows(meta),
        probe_axis=_axis([meta.forgetting.probe, *meta.forgetting.categories] if meta.forgetting else []),
        nats_axis=_nats_axis(meta),
        cluster_labels=meta.dataset.spec.labels if meta.dataset else [],
        base_labels=examples.count_labels(_held_out_targets(pairs), base_labels),
        candidate_labels=examples.count_labels(
            [p for p in _held_out_targets(pairs) if not p.candidate_passed], candidate_labels
        ),
        discordant=shown,
        discordant_total=len(changed),
        choices={
            "slice": sorted({e.slice for e in shown}),
            "label": sorted({e.label for e in shown if e.label}),
            "group": sorted({e.group for e in shown}),
        },
        pattern=sentences.pattern_sentence(
            regression_traits(pairs, lost, questions, candidate_rows), len(verdict.regressions)
        ),
        failing=[make.of(p, lost) for p in failing[:MOST_STILL_FAILING]],
        failing_total=len(failing),
        flaky=_flaky(verdict),
        judges=sorted({row.judge for row in [*base_rows, *candidate_rows] if row.judge}),
        cost_total=_total(meta.costs),
        run_facts=run_facts(meta.adapter) if meta.adapter else [],
        foretold=foretold(meta.adapter) if meta.adapter else [],
        findings=[(finding_tag(f), f.code, finding_sentence(f)) for f in meta.adapter.findings] if meta.adapter else [],
        lineage=lineage(meta),
        method=method(meta, base_rows, candidate_rows),
        commands=[*meta.reproduce, VERDICT_COMMAND],
    )


def _held_out_targets(pairs: Sequence[Pair]) -> list[Pair]:
    return [p for p in pairs if p.targeted and p.held_out]


def _axis(comparisons: Sequence[Comparison], *marks: float) -> Axis:
    """One axis that all the intervals and marks fit on."""
    return axis_over([end for c in comparisons for end in (c.ci_low, c.ci_high)] + list(marks), LEAST_SPAN)


def _probe_rows(meta: ReportMeta) -> list[tuple[str, Comparison]]:
    """The whole probe set, then its categories, worst change first."""
    if meta.forgetting is None:
        return []
    categories = sorted(meta.forgetting.categories, key=lambda c: (c.delta or 0.0, c.category))
    return [("all", meta.forgetting.probe), *((c.category, c) for c in categories)]


def _nats_axis(meta: ReportMeta) -> Axis:
    forgetting = meta.forgetting
    return axis_over([forgetting.delta_low, forgetting.delta_high] if forgetting else [], 0.02)


def _flaky(verdict: Verdict) -> list[tuple[str, float | None]]:
    """(question, flip rate), most flaky first; the rate is None if the verdict has none."""
    if verdict.noise is None or not verdict.noise.flaky:
        return [(question_id, None) for question_id in verdict.flaky_questions]
    by_rate = sorted(verdict.noise.flaky.items(), key=lambda item: (-item[1], item[0]))
    return [*by_rate]


def _total(costs: Sequence[Cost]) -> Cost | None:
    """The sum of all sides; money only if every side has it in one currency. None for fewer than two sides."""
    if len(costs) < 2:
        return None
    money = [cost.money for cost in costs if cost.money is not None]
    one_currency = len(money) == len(costs) and len({cost.currency for cost in costs}) == 1
    return Cost(
        side="all",
        asked=sum(cost.asked for cost in costs),
        reused=sum(cost.reused for cost in costs),
        prompt_tokens=sum(cost.prompt_tokens for cost in costs),
        completion_tokens=sum(cost.completion_tokens for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
        money=sum(money) if one_currency else None,
        currency=costs[0].currency if one_currency else "",
    )


def _hash(script: str) -> str:
    """The script as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


@lru_cache(maxsize=1)
def _script() -> str:
    return files("burnish.reporting").joinpath("report.js").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("burnish.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "with_code": html_with_code,
        "percent": sentences.percent,
        "points": sentences.points,
        "interval": sentences.interval,
        "p_value": sentences.p_value,
        "fixed": sentences.fixed,
        "grouped": sentences.grouped,
    }
    return environment.get_template("report.html.jinja")
