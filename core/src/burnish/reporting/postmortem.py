"""`postmortem.md`: the five answers kept with every run, filled in from what is known, and a person's own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from burnish.reporting import examples
from burnish.reporting.escaping import code, counts, line, line_with_code
from burnish.reporting.meta import ReportMeta, lineage
from burnish.reporting.own_words import own_words, with_words
from burnish.reporting.patterns import regression_traits
from burnish.reporting.sentences import headline, interval, p_value, pattern_sentence, percent, points
from burnish.reporting.training import finding_sentence, finding_tag, foretold, method_name
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.evaluation import BaselineComparison, Comparison, EvalRow, Verdict
from burnish.verdict import Pair, pair

MOST_REGRESSIONS_NAMED = 20
# Ways of failing that a stricter output (guided decoding, a schema, a firmer instruction) might prevent without training.
FORMAT_LABELS = frozenset(
    {
        "answer-in-prose",
        "empty-answer",
        "extra-field",
        "json-cut-off",
        "json-in-prose",
        "missing-field",
        "nested-too-deep",
        "no-choice",
        "no-number",
        "not-an-object",
        "not-json",
        "schema-mismatch",
        "duplicate-key",
    }
)


def postmortem_md(
    verdict: Verdict,
    base_rows: Sequence[EvalRow],
    candidate_rows: Sequence[EvalRow],
    meta: ReportMeta,
    *,
    previous: str | None = None,
) -> str:
    """Five questions, five answers, in Markdown, and the words a person wrote into `previous`, an earlier postmortem.

    Raises InvalidInputError if `previous` is damaged so that words could be lost (see burnish.reporting.own_words).
    """
    words = own_words(previous)
    pairs = pair(base_rows, candidate_rows).pairs
    base_labels = examples.labels_of(base_rows)
    before = [
        f"# Postmortem: {code(meta.candidate_model)} against {code(meta.base_model)}",
        f"**Verdict: {verdict.verdict}.** {line(headline(verdict))}",
        "\n".join(f"- {line_with_code(reason)}" for reason in [*verdict.reasons, *verdict.warnings]),
        "## 1. Which failure cluster?",
        _cluster(meta, pairs, base_labels),
        "## 2. Which data?",
        _data(meta),
        "## 3. Did it improve?",
        _improvement(verdict),
        "## 4. What regressed?",
        _regressions(verdict, pairs, candidate_rows, meta),
        "## 5. Was fine-tuning the right rung?",
        _needed(verdict, pairs, base_labels, meta),
        "## In your own words",
        "What is between the two comments is yours: a rebuild keeps it.",
    ]
    after = ["## Lineage", "\n".join(f"- {what}: {code(which)}" for what, which in lineage(meta))]
    return with_words("\n\n".join(before), "\n\n".join(after), words)


def _cluster(meta: ReportMeta, pairs: Sequence[Pair], base_labels: dict[str, str]) -> str:
    lines = [
        f"- {code(c.label)}: {c.size} model-attributed failures over {c.questions} questions, {c.repeated_questions} of them repeated, "
        f"{percent(c.share_of_failures)} of all failures; slices {counts(list(c.slices.items()))}."
        for c in meta.clusters
    ]
    if not lines and meta.dataset:
        lines = [
            f"- Labels trained on: {', '.join(code(label) for label in meta.dataset.spec.labels)} (run log {code(meta.dataset.spec.run_log_id)})."
        ]
    if not lines:
        lines = ["- Not given to this evaluation: neither the diagnosis nor the dataset manifest."]
    targeted = [p for p in pairs if p.targeted]
    failing = [p for p in targeted if not p.base_passed]
    lines.append(
        f"- In this benchmark: {len(targeted)} targeted questions, of which the base fails {len(failing)}: {counts(examples.count_labels(failing, base_labels))}."
    )
    return "\n".join(lines)


def _data(meta: ReportMeta) -> str:
    if meta.dataset is None:
        return "Not given to this evaluation: no dataset manifest."
    used, spec = meta.dataset.counts, meta.dataset.spec
    discarded = sorted(used.discarded.items(), key=lambda item: (-item[1], item[0]))
    lines = [
        f"- Dataset {code(f'{meta.dataset.name}@{meta.dataset.version}')}, format {spec.format}: {used.corrections} corrections and {used.anchors} anchor examples, "
        f"{used.train} rows trained on and {used.validation} for validation; {used.held_out} targeted questions held out.",
        f"- Discarded, by reason: {counts(discarded)}." if discarded else "- Discarded: nothing.",
    ]
    if meta.dataset.review:
        spent = meta.dataset.review
        lines.append(
            f"- Review: {spent.items} of its questions took {spent.reviewers} {'person' if spent.reviewers == 1 else 'people'} "
            f"{spent.seconds / 60:.1f} minutes, {spent.seconds / spent.items:.0f} s each."
        )
    if meta.adapter:
        lines += _training(meta.adapter)
    return "\n".join(lines)


def _training(adapter: AdapterManifest) -> list[str]:
    """The run, what was foretold of it, and what preflight and run warned of."""
    training, figures = adapter.training, foretold(adapter)
    lines = [
        f"- Training: {method_name(adapter)}, {training.steps} steps (best at {training.best_step}), loss {_number(training.first_train_loss)} → "
        f"{_number(training.final_train_loss)}, best validation loss {_number(training.best_validation_loss)}, {training.duration_seconds:.0f} s."
    ]
    if figures:
        compared = "; ".join(f"{f.what} {f.estimated} → {f.measured} ({f.off_by})" for f in figures)
        basis = f" Estimated from: {line(adapter.estimate.basis)}." if adapter.estimate else ""
        lines.append(f"- Estimated → measured: {compared}.{basis}")
    lines += [
        f"- {finding_tag(f).capitalize()} {code(f.code)}: {line_with_code(finding_sentence(f))}"
        for f in adapter.findings
    ]
    if figures and not adapter.findings:
        lines.append("- Warnings of preflight and run: none.")
    return lines


def _improvement(verdict: Verdict) -> str:
    rows = [
        ("Targeted, held out (decides)", verdict.targeted),
        ("Targeted, trained on (shown only)", verdict.trained),
        ("Rest, held out (decides)", verdict.rest),
        ("Rest, used as anchors (shown only)", verdict.anchored),
    ]
    if verdict.overall is not None:
        rows.append(("All, weighted to the benchmark (held against the first)", verdict.overall))
    head = "| questions | n | base | candidate | change, points | 95 % interval | fixed | regressed | p |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    table = "\n".join([head, *(_table_row(name, comparison) for name, comparison in rows)])
    floors = [
        f"{what}: {percent(share)}"
        for what, share in (
            ("Chance level of the target", verdict.chance),
            ("Recovery floor (failed questions that a mere change of answers brings back)", verdict.recovery_floor),
        )
        if share is not None
    ]
    return f"{table}\n\n{'. '.join(floors)}." if floors else table


def _table_row(name: str, c: Comparison) -> str:
    return f"| {name} | {c.n} | {percent(c.base)} | {percent(c.candidate)} | {points(c.delta)} | {interval(c)} | {c.gained} | {c.lost} | {p_value(c.p_value)} |"


def _regressions(verdict: Verdict, pairs: Sequence[Pair], candidate_rows: Sequence[EvalRow], meta: ReportMeta) -> str:
    noise = (
        "not measured: the base was asked once (`burnish eval --samples 2` measures it)"
        if verdict.noise_flip_rate is None
        else f"{percent(verdict.noise_flip_rate)} of rest questions flip when the base is asked again"
    )
    if not verdict.regressions:
        return f"None: no rest question that the base always passes regressed. Noise: {noise}."
    labels = examples.labels_of(candidate_rows)
    lost = [regression.question_id for regression in verdict.regressions]
    traits = regression_traits(pairs, lost, {q.question_id: q for q in meta.questions}, candidate_rows)
    more = len(lost) - MOST_REGRESSIONS_NAMED
    return "\n".join(
        [
            f"- {len(lost)} rest questions that the base always passes and the candidate fails: "
            f"{', '.join(map(code, lost[:MOST_REGRESSIONS_NAMED]))}{f' and {more} more' if more > 0 else ''}.",
            f"- By slice: {counts(Counter(r.slice for r in verdict.regressions).most_common())}. "
            f"By the way the candidate fails: {counts(Counter(labels.get(i, 'failed') for i in lost).most_common())}.",
            f"- {line(pattern_sentence(traits, len(lost)))}",
            f"- Noise: {noise}.",
        ]
    )


def _needed(verdict: Verdict, pairs: Sequence[Pair], base_labels: dict[str, str], meta: ReportMeta) -> str:
    failing = [p for p in pairs if p.targeted and p.held_out and not p.base_passed]
    by_format = [p for p in failing if base_labels.get(p.question_id) in FORMAT_LABELS]
    fixed = sum(p.candidate_passed for p in failing)
    lines = [
        _was_needed(verdict),
        *(_baseline(baseline) for baseline in verdict.arms),
        f"- For training: of {len(failing)} held-out questions that the base fails, the adapter passes {fixed}.",
    ]
    if by_format:
        lines.append(
            f"- For a cheaper baseline: {len(by_format)} of those {len(failing)} fail in format ({counts(examples.count_labels(by_format, base_labels))}), "
            f"which guided decoding or a firmer prompt may prevent{'; the others are wrong in content' if len(by_format) < len(failing) else ''}."
        )
    elif failing:
        lines.append(
            "- Against a cheaper baseline: none of them fails in format alone, so guided decoding would not have been enough."
        )
    if meta.clusters:
        lines.append("- Retrieval is not the cause: the clusters count only failures whose evidence was in the prompt.")
    return "\n".join(lines)


def _was_needed(verdict: Verdict) -> str:
    if verdict.cheaper_rung is not None:
        return f"- **No: a cheaper baseline does it.** {code(verdict.cheaper_rung)} needs no training and is not worse than the adapter."
    if not verdict.arms:
        return (
            "- **Open.** No baseline was run in this evaluation: the base was not asked with the corrections as few-shot examples, with a stricter "
            "instruction, or with guided decoding, so it is not shown that training was needed. `burnish eval --control` would tell."
        )
    tried = (
        f"none of the {len(verdict.arms)} baselines does what was wanted"
        if len(verdict.arms) > 1
        else "the one baseline does not do it"
    )
    if verdict.verdict in {"ship", "investigate"}:
        return f"- **Yes, as far as was tried:** {tried}."
    return f"- **Open.** It is not shown that training improved the cluster, and {tried}."


def _baseline(baseline: BaselineComparison) -> str:
    does = "does it" if baseline.does_it else "does not do it"
    return (
        f"- {code(baseline.name)} {does}: {line(baseline.reason)} Target {percent(baseline.targeted.base)} → {percent(baseline.targeted.candidate)}, "
        f"against the adapter {points(baseline.against_candidate.delta)} points ({interval(baseline.against_candidate)}); "
        f"rest {points(baseline.rest.delta)} ({interval(baseline.rest)})."
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
