"""Forgetting: base and adapter on the probe set that Burnish ships, and the cross-entropy of plain text under both.

Called by the comparison, apart from the user's benchmark: it never decides, a clear loss becomes a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish.probe import MAX_TOKENS, compare_texts, probe_questions, probe_texts, probe_version
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.evaluation import Forgetting, ProbeCategory
from burnish.statistics import holm
from burnish.verdict.decision import compare
from burnish.verdict.pairing import Pair, name_some, pair
from burnish_client.evaluation.asking import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.chat import Endpoint, Sampling
from burnish_client.evaluation.rows import eval_rows
from burnish_client.evaluation.text_scores import NoPromptLogprobs, score_texts

CLEAR_LEVEL = 0.05  # of the two-sided test; over categories after Holm
NOTABLE_NATS = 0.05  # about 5 % more perplexity: less than this is the usual price of any training
BASE_ANSWERS, CANDIDATE_ANSWERS = "probe-base.jsonl", "probe-candidate.jsonl"
BASE_TEXTS, CANDIDATE_TEXTS = "probe-texts-base.jsonl", "probe-texts-candidate.jsonl"


async def measure_forgetting(
    endpoint: Endpoint,
    base_model: str,
    candidate_model: str,
    out: Path,
    *,
    candidate_endpoint: Endpoint | None = None,
    concurrency: int = 16,
    questions: Sequence[BenchmarkQuestion] | None = None,
    progress: ProgressCallback | None = None,
) -> Forgetting:
    """Ask both models the probe set, greedily, and score the plain texts under both.

    out: a folder; its answer logs (`probe-base.jsonl`, `probe-candidate.jsonl`, lines of Answer) and text scores
    (`probe-texts-base.jsonl`, `probe-texts-candidate.jsonl`) let a killed run go on and ask nothing twice. candidate_endpoint: where the candidate is served elsewhere.
    questions: instead of the shipped ones. progress: of the questions; the texts take a few seconds more.
    p-values are two-sided exact McNemar, those of categories corrected by Holm. An endpoint that gives no
    log-probabilities of a prompt leaves the cross-entropy None, and `cross_entropy_missing` says why. Raises as
    `ask_sides` does, and InvalidInputError where one side has not one graded answer.
    """
    asked = list(probe_questions()) if questions is None else list(questions)
    theirs = candidate_endpoint or endpoint
    sides = [Side(endpoint, base_model, out / BASE_ANSWERS), Side(theirs, candidate_model, out / CANDIDATE_ANSWERS)]
    sampling = Sampling(max_tokens=MAX_TOKENS, temperature=0.0)
    answers = await ask_sides(sides, asked, sampling=sampling, concurrency=concurrency, progress=progress)
    base_rows, candidate_rows = (eval_rows(asked, given, None) for given in answers)
    pairing = pair(base_rows, candidate_rows)
    probe = Forgetting(
        probe=compare(pairing.pairs),
        categories=compare_categories(pairing.pairs),
        lost=[p.question_id for p in pairing.pairs if p.base_passed and not p.candidate_passed],
        probe_version=probe_version(),
        ungraded=len(pairing.unpaired),
    )
    logs = (out / BASE_TEXTS, out / CANDIDATE_TEXTS)
    text_sides = [replace(side, out=log) for side, log in zip(sides, logs, strict=True)]
    return await _with_cross_entropy(probe, text_sides, concurrency)


def compare_categories(pairs: Sequence[Pair]) -> list[ProbeCategory]:
    """One comparison a category, by name, with p-values corrected by Holm over the categories."""
    names = sorted({p.slice for p in pairs})
    comparisons = [compare([p for p in pairs if p.slice == name]) for name in names]
    adjusted = holm([c.p_value if c.p_value is not None else 1.0 for c in comparisons])
    return [
        ProbeCategory(category=name, **(comparison.model_dump() | {"p_value": p}))
        for name, comparison, p in zip(names, comparisons, adjusted, strict=True)
    ]


def forgetting_sentence(forgetting: Forgetting) -> str | None:
    """The warning that a clear loss deserves, or None.

    Clear: the probe as a whole, or a category after Holm, is worse at the 5 % level; or the whole 95 % interval of the
    cross-entropy's rise lies above NOTABLE_NATS.
    """
    findings = []
    probe = forgetting.probe
    if _clearly_worse(probe.delta, probe.p_value):
        findings.append(
            f"it answers {probe.lost} of {probe.n} probe questions no more and {probe.gained} newly "
            f"({_percent(probe.base)} → {_percent(probe.candidate)})"
        )
    findings += [
        f"{c.category} fell from {_percent(c.base)} to {_percent(c.candidate)} of {c.n}"
        for c in forgetting.categories
        if _clearly_worse(c.delta, c.p_value)
    ]
    if forgetting.delta_low is not None and forgetting.delta_low > NOTABLE_NATS:
        findings.append(
            f"plain text surprises it more, by {forgetting.delta_cross_entropy:.2f} nats a token "
            f"(95 % interval {forgetting.delta_low:.2f} to {forgetting.delta_high:.2f})"
        )
    if not findings:
        return None
    lost = f" Probe questions lost: {name_some(forgetting.lost)}." if forgetting.lost else ""
    return f"Signs of forgetting: {'; '.join(findings)}.{lost}"


async def _with_cross_entropy(probe: Forgetting, sides: Sequence[Side], concurrency: int) -> Forgetting:
    try:
        base, candidate = await score_texts(sides, probe_texts(), concurrency=concurrency)
        found = compare_texts(base, candidate)
    except (NoPromptLogprobs, InvalidInputError) as missing:
        return probe.model_copy(update={"cross_entropy_missing": f"No cross-entropy: {missing}."})
    return probe.model_copy(
        update={
            "texts": found.texts,
            "tokens": found.tokens,
            "base_cross_entropy": found.base,
            "candidate_cross_entropy": found.candidate,
            "delta_cross_entropy": found.delta,
            "delta_low": found.low,
            "delta_high": found.high,
        }
    )


def _clearly_worse(delta: float | None, p_value: float | None) -> bool:
    return delta is not None and p_value is not None and delta < 0 and p_value < CLEAR_LEVEL


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f} %"
