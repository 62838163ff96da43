"""What the regressions share: every trait of a question counted among them and among the questions that held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from burnish.extras import Late
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.evaluation import EvalRow
from burnish.statistics import holm
from burnish.verdict import Pair

stats = Late("scipy.stats")

LEVEL = 0.05
LEAST_SHARING = 2  # one question is no pattern


@dataclass(frozen=True)
class Trait:
    """A property that a question has or has not, counted: `shared` of `lost` regressions, `elsewhere` of `others`.

    odds_ratio: of having the trait, regressions against others; 0.5 is added to every cell if one is empty
    (Haldane–Anscombe). p_value: Fisher's exact test, one-sided (more common among the regressions), corrected by Holm
    over the traits tried.
    """

    name: str
    against: str
    shared: int
    lost: int
    elsewhere: int
    others: int
    odds_ratio: float
    p_value: float

    @property
    def is_pattern(self) -> bool:
        return self.p_value < LEVEL


def regression_traits(
    pairs: Sequence[Pair],
    regressions: Iterable[str],
    questions: dict[str, BenchmarkQuestion],
    candidate_rows: Sequence[EvalRow],
) -> list[Trait]:
    """Traits that at least two regressions share, most telling first; empty for fewer than two regressions.

    Slice, document, grader, length of prompt, expected answer and base answer (longest and shortest quarter of the rest
    questions, in characters) and form of the expected answer: against the other rest questions that the base passes.
    How the candidate fails: against the other rest questions that it fails.
    """
    lost = set(regressions)
    rest = [p for p in pairs if not p.targeted and p.held_out]
    passed = [p for p in rest if p.base_passed or p.question_id in lost]
    failed = [p for p in rest if not p.candidate_passed]
    first = {row.question_id: row for row in reversed(candidate_rows) if row.passed is False}
    ways = {p.question_id: {f"fails as {label}"} for p in failed if (label := _label(first, p.question_id))}
    counted = [
        *_count(lost, passed, _question_traits(passed, questions, candidate_rows), "that the base passes"),
        *_count(lost, failed, ways, "that the candidate fails"),
    ]
    if not counted:
        return []
    corrected = holm([trait.p_value for trait in counted])
    traits = [Trait(**(vars(t) | {"p_value": p})) for t, p in zip(counted, corrected, strict=True)]
    return sorted(traits, key=lambda t: (t.p_value, -t.odds_ratio, t.name))


def _label(rows: dict[str, EvalRow], question_id: str) -> str | None:
    row = rows.get(question_id)
    return row.failure_label if row else None


def _count(lost: set[str], pairs: Sequence[Pair], traits: dict[str, set[str]], against: str) -> list[Trait]:
    ours = [p.question_id for p in pairs if p.question_id in lost]
    theirs = [p.question_id for p in pairs if p.question_id not in lost]
    if not ours or not theirs:
        return []
    counted = []
    for name in sorted(set().union(*(traits.get(i, set()) for i in ours))):
        shared, elsewhere = (sum(name in traits.get(i, set()) for i in ids) for ids in (ours, theirs))
        if shared >= LEAST_SHARING and shared + elsewhere < len(ours) + len(theirs):
            table = np.array([[shared, len(ours) - shared], [elsewhere, len(theirs) - elsewhere]], dtype=float)
            p = float(stats.fisher_exact(table.astype(int), alternative="greater").pvalue)
            counted.append(Trait(name, against, shared, len(ours), elsewhere, len(theirs), _odds_ratio(table), p))
    return counted


def _odds_ratio(table: np.ndarray) -> float:
    cells = table if table.all() else table + 0.5
    return float(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0]))


def _question_traits(
    pairs: Sequence[Pair], questions: dict[str, BenchmarkQuestion], rows: Sequence[EvalRow]
) -> dict[str, set[str]]:
    traits: dict[str, set[str]] = {p.question_id: {f"slice {p.slice}"} for p in pairs}
    row_of = {row.question_id: row for row in rows}
    for p in pairs:
        question, row = questions.get(p.question_id), row_of[p.question_id]
        grader = row.grader or (question.grader.name if question else None)
        cluster = row.cluster or (question.cluster if question else None)
        traits[p.question_id] |= {f"grader {grader}"} if grader else set()
        traits[p.question_id] |= {f"document {cluster}"} if cluster else set()
        traits[p.question_id] |= {f"expected answer is {_form(question.expected_answer)}"} if question else set()
    known = {p.question_id: questions[p.question_id] for p in pairs if p.question_id in questions}
    lengths = {
        "prompt": {i: sum(len(m.content) for m in q.prompt_messages()) for i, q in known.items()},
        "expected answer": {i: len(q.expected_answer) for i, q in known.items()},
        "answer of the base": {p.question_id: len(p.base_answer) for p in pairs if p.base_answer is not None},
    }
    for what, length in lengths.items():
        for question_id, quarter in _quarters(length).items():
            traits[question_id].add(f"{what} {quarter}")
    return traits


def _quarters(lengths: dict[str, int]) -> dict[str, str]:
    """Who is in the longest and who in the shortest quarter; nobody if those would be the same length."""
    if not lengths:
        return {}
    low, high = np.quantile(list(lengths.values()), [0.25, 0.75], method="inverted_cdf")
    if low == high:
        return {}
    long = {i: f"of {high:.0f} characters or more" for i, length in lengths.items() if length >= high}
    short = {i: f"of {low:.0f} characters or fewer" for i, length in lengths.items() if length <= low}
    return long | short


def _form(expected: str) -> str:
    text = expected.strip()
    if text[:1] in {"{", "["}:
        return "JSON"
    if text.replace(".", "", 1).replace(",", "").lstrip("+-−").isdigit():
        return "a number"
    return "one word" if len(text.split()) == 1 else "several words"
