"""The contamination check: no training row may ask what an evaluation will ask, whatever the system prompt is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from burnish.errors import LeakageError
from burnish.schemas.base import spoken_key
from burnish.schemas.benchmark import BenchmarkQuestion

NAMED = 10


def guarded_keys(questions: Iterable[BenchmarkQuestion], trained: frozenset[str]) -> dict[str, set[str]]:
    """spoken_key -> ids of the benchmark questions that must not be trained on: benchmark_only, or not in `trained`."""
    guarded: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        if question.benchmark_only or question.question_id not in trained:
            guarded[spoken_key(question.prompt_messages())].add(question.question_id)
    return dict(guarded)


def check_leaks(
    rows: Iterable[tuple[str, str]], held_out: Mapping[str, set[str]], benchmark: Mapping[str, set[str]]
) -> None:
    """Raise LeakageError if a training row's prompt is guarded.

    rows: (question id, spoken_key) of everything in train and validation. held_out, benchmark: spoken_key -> the ids
    of the questions that it guards. The error names both sides.
    """
    leaks = []
    for question_id, key in rows:
        for kind, guarded in (("held-out", held_out), ("benchmark", benchmark)):
            leaks += [(question_id, kind, other) for other in sorted(guarded.get(key, set()))]
    if not leaks:
        return
    named = "; ".join(
        f"{question_id} has the prompt of {kind} question {other}" for question_id, kind, other in leaks[:NAMED]
    )
    more = f"; and {len(leaks) - NAMED} more" if len(leaks) > NAMED else ""
    raise LeakageError(
        f"{len(leaks)} training row(s) would leak: {named}{more}. Remove those corrections, or give both the same question_id, and build again",
        question_ids=",".join(sorted({question_id for question_id, _, _ in leaks})),
    )
