"""`postmortem.md`: the five answers kept with every run, filled in from what is known and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from burnish.pairing import Pair, pair
from burnish.reporting import examples
from burnish.reporting.lineage import lineage
from burnish.reporting.meta import ReportMeta
from burnish.reporting.sentences import headline, interval, p_value, percent, points
from burnish.schemas.evaluation import Comparison, EvalRow, Verdict

# Ways of failing that a stricter output (guided decoding, a schema, a firmer instruction) might prevent without training.
FORM_LABELS = frozenset(
    {
        "answer-in-prose",
        "empty-answer",
        "extra-field",
        "json-cut-off",
        "json-in-prose",
        "missing-field",
        "not-an-object",
        "not-json",
        "schema-mismatch",
        "duplicate-key",
    }
)


def postmortem_md(
    verdict: Verdict, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow], meta: ReportMeta
) -> str:
    """Five questions, five answers, in Markdown."""
    pairs = pair(base_rows, candidate_rows).pairs
    base_labels = examples.labels_of(base_rows)
    parts = [
        f"# Postmortem: {_code(meta.candidate_model)} against {_code(meta.base_model)}",
        f"**Verdict: {verdict.verdict}.** {headline(verdict)}",
        "\n".join(f"- {_line(reason)}" for reason in [*verdict.reasons, *verdict.warnings]),
        "## 1. Which failure cluster?",
        _cluster(meta, pairs, base_labels),
        "## 2. Which data?",
        _data(meta),
        "## 3. Did it improve?",
        _improvement(verdict),
        "## 4. What regressed?",
        _regressions(verdict, examples.labels_of(candidate_rows)),
        "## 5. Was fine-tuning the right rung?",
        _rung(pairs, base_labels, meta),
        "## Lineage",
        "\n".join(f"- {what}: {_code(which)}" for what, which in lineage(meta)),
    ]
    return "\n\n".join(parts) + "\n"


def _cluster(meta: ReportMeta, pairs: Sequence[Pair], base_labels: dict[str, str]) -> str:
    lines = [
        f"- {_code(c.label)}: {c.size} model-attributed failures over {c.questions} questions, {c.repeated_questions} of them repeated, "
        f"{percent(c.share_of_failures)} of all failures; slices {_counts(list(c.slices.items()))}."
        for c in meta.clusters
    ]
    if not lines and meta.dataset:
        lines = [
            f"- Labels trained on: {', '.join(_code(label) for label in meta.dataset.spec.labels)} (run log {_code(meta.dataset.spec.run_log_id)})."
        ]
    if not lines:
        lines = ["- Not given to this evaluation: neither the diagnosis nor the dataset manifest."]
    targeted = [p for p in pairs if p.targeted]
    failing = [p for p in targeted if not p.base_passed]
    lines.append(
        f"- In this benchmark: {len(targeted)} targeted questions, of which the base fails {len(failing)}: {_counts(examples.count_labels(failing, base_labels))}."
    )
    return "\n".join(lines)


def _data(meta: ReportMeta) -> str:
    if meta.dataset is None:
        return "Not given to this evaluation: no dataset manifest."
    counts, spec = meta.dataset.counts, meta.dataset.spec
    lines = [
        f"- Dataset {_code(f'{meta.dataset.name}@{meta.dataset.version}')}, format {spec.format}: {counts.corrections} corrections and {counts.anchors} anchor examples, "
        f"{counts.train} rows trained on and {counts.validation} for validation; {counts.held_out} targeted questions held out.",
        f"- Discarded: {_counts(sorted(counts.discarded.items())) if counts.discarded else 'nothing'}.",
    ]
    if meta.adapter:
        training = meta.adapter.training
        lines.append(
            f"- Training: {meta.adapter.method}, {training.steps} steps (best at {training.best_step}), loss {_number(training.first_train_loss)} → "
            f"{_number(training.final_train_loss)}, best validation loss {_number(training.best_validation_loss)}, {training.duration_seconds:.0f} s."
        )
    return "\n".join(lines)


def _improvement(verdict: Verdict) -> str:
    rows = [
        ("Targeted, held out (decides)", verdict.targeted),
        ("Targeted, trained on (shown only)", verdict.trained),
        ("Rest, held out (decides)", verdict.rest),
        ("Rest, used as anchors (shown only)", verdict.anchored),
    ]
    head = "| questions | n | base | candidate | change, points | 95 % interval | gained | lost | p |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    return "\n".join([head, *(_table_row(name, comparison) for name, comparison in rows)])


def _table_row(name: str, c: Comparison) -> str:
    return f"| {name} | {c.n} | {percent(c.base)} | {percent(c.candidate)} | {points(c.delta)} | {interval(c)} | {c.gained} | {c.lost} | {p_value(c.p_value)} |"


def _regressions(verdict: Verdict, candidate_labels: dict[str, str]) -> str:
    noise = (
        "not measured: the base was asked once"
        if verdict.noise_flip_rate is None
        else f"{percent(verdict.noise_flip_rate)} of rest questions flip when the base is asked again"
    )
    if not verdict.regressions:
        return f"None: no rest question that the base always passes was lost. Noise: {noise}."
    slices = Counter(regression.slice for regression in verdict.regressions)
    labels = Counter(candidate_labels.get(regression.question_id, "failed") for regression in verdict.regressions)
    return "\n".join(
        [
            f"- {len(verdict.regressions)} rest questions that the base always passes and the candidate fails: {', '.join(_code(r.question_id) for r in verdict.regressions[:20])}"
            + (" …" if len(verdict.regressions) > 20 else "."),
            f"- By slice: {_counts(slices.most_common())}. By the way the candidate fails: {_counts(labels.most_common())}.",
            f"- Noise: {noise}.",
        ]
    )


def _rung(pairs: Sequence[Pair], base_labels: dict[str, str], meta: ReportMeta) -> str:
    failing = [p for p in pairs if p.targeted and p.held_out and not p.base_passed]
    by_form = [p for p in failing if base_labels.get(p.question_id) in FORM_LABELS]
    fixed = sum(p.candidate_passed for p in failing)
    lines = [
        "- **Open.** No control arm was run in this evaluation: the base was not asked with the corrections as few-shot examples, with a stricter "
        "instruction, or with guided decoding, so it is not shown that training was needed.",
        f"- For training: of {len(failing)} held-out questions that the base fails, the adapter passes {fixed}.",
    ]
    if by_form:
        lines.append(
            f"- For a cheaper rung: {len(by_form)} of those {len(failing)} fail in form ({_counts(examples.count_labels(by_form, base_labels))}), "
            "which guided decoding or a firmer prompt may prevent; the others are wrong in content."
        )
    elif failing:
        lines.append(
            "- Against a cheaper rung: none of them fails in form alone, so guided decoding would not have been enough."
        )
    if meta.clusters:
        lines.append("- Retrieval is not the cause: the clusters count only failures whose evidence was in the prompt.")
    return "\n".join(lines)


def _counts(items: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_code(name)} {count}" for name, count in items) or "none"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _code(text: str) -> str:
    """An inline code span that its content cannot leave: on one line, no backtick, no table bar."""
    line = " ".join(text.split()).replace("`", "ˋ").replace("|", "¦")
    return f"`{line or '–'}`"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
