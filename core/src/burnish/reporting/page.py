"""`report.html`: one self-contained file, from the template beside this module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from burnish.pairing import Pair, pair
from burnish.reporting import examples, sentences
from burnish.reporting.lineage import lineage, method
from burnish.reporting.meta import ReportMeta
from burnish.reporting.visible import visible
from burnish.schemas.evaluation import EvalRow, Verdict

MOST_REGRESSIONS = 50
MOST_FIXED = 12
MOST_STILL_FAILING = 12
VERDICT_COMMAND = "burnish verdict --base base.jsonl --candidate candidate.jsonl --json"


def report_html(
    verdict: Verdict, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow], meta: ReportMeta
) -> str:
    """The report as one HTML file without scripts or outside references; opens from disk, in print and on a phone."""
    pairs = pair(base_rows, candidate_rows).pairs
    questions = {question.question_id: question for question in meta.questions}
    base_labels, candidate_labels = examples.labels_of(base_rows), examples.labels_of(candidate_rows)

    def shown(chosen: list[Pair], most: int) -> list[examples.Example]:
        return [examples.example(p, questions, base_labels, candidate_labels) for p in chosen[:most]]

    lost = {regression.question_id for regression in verdict.regressions}
    regressions = [p for p in pairs if p.question_id in lost]
    fixed, failing = examples.fixed(pairs), examples.still_failing(pairs)
    return _template().render(
        verdict=verdict,
        meta=meta,
        headline=sentences.headline(verdict),
        slices=sorted(verdict.slices, key=lambda s: (s.delta or 0.0, s.slice)),
        labels=meta.dataset.spec.labels if meta.dataset else [],
        base_labels=examples.count_labels([p for p in pairs if p.targeted and p.held_out], base_labels),
        candidate_labels=examples.count_labels(failing, candidate_labels),
        sections=[
            (
                "Regressions",
                "regressions",
                shown(regressions, MOST_REGRESSIONS),
                len(regressions),
                "No rest question that the base always passes was lost.",
            ),
            ("Fixed", "fixed", shown(fixed, MOST_FIXED), len(fixed), "No held-out targeted question was gained."),
            (
                "Not fixed",
                "failing",
                shown(failing, MOST_STILL_FAILING),
                len(failing),
                "The candidate passes every held-out targeted question.",
            ),
        ],
        lineage=lineage(meta),
        method=method(meta, base_rows, candidate_rows),
        commands=[*meta.reproduce, VERDICT_COMMAND],
    )


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
        "percent": sentences.percent,
        "points": sentences.points,
        "interval": sentences.interval,
        "p_value": sentences.p_value,
        "position": lambda share: f"{50 + 50 * share:.2f}",
    }
    return environment.get_template("report.html.jinja")
