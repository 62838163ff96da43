"""Questions that must stay unseen: held out, of the benchmark, and between training and validation rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from burnish.curation.leakage import guarded_keys
from burnish.schemas.base import spoken_key
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import Split
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record, Records
from burnish_trainer.preflight.registry import finding


def check_held_out(
    records: Sequence[Record], split: Split, questions: Sequence[BenchmarkQuestion]
) -> Iterable[Finding]:
    """By id, and by prompt if the benchmark has the held-out question."""
    held_out = set(split.held_out)
    prompts = {spoken_key(q.prompt_messages()) for q in questions if q.question_id in held_out}
    leaked = [r.question_id for r in records if r.question_id in held_out or spoken_key(r.prompt) in prompts]
    if leaked:
        yield finding(
            "held-out-in-training",
            f"{len(leaked)} rows ask what is held out for evaluation, so that its score would be a memory: remove them, "
            "or build the dataset again",
            leaked,
        )


def check_benchmark(
    records: Sequence[Record], split: Split, questions: Sequence[BenchmarkQuestion]
) -> Iterable[Finding]:
    """As the curator guards it: a benchmark question may be trained on only under its own id, and never if benchmark_only."""
    trained = frozenset([*split.train, *split.validation, *split.anchors]) - frozenset(split.held_out)
    guarded = guarded_keys([q for q in questions if q.question_id not in split.held_out], trained)
    only = {question.question_id for question in questions if question.benchmark_only}
    leaked = {
        record.question_id: next(iter(sorted(others)), record.question_id)
        for record in records
        if (others := guarded.get(spoken_key(record.prompt), set())) or record.question_id in only
    }
    if leaked:
        row, question = next(iter(leaked.items()))
        yield finding(
            "benchmark-in-training",
            f"{len(leaked)} rows have the prompt of a benchmark question that is not theirs to train on ({row}: "
            f"{question}): remove them, or build the dataset again",
            leaked,
        )


def check_validation(records: Records) -> Iterable[Finding]:
    training = {record.prompt_key for record in records.train}
    shared = [record.question_id for record in records.validation if record.prompt_key in training]
    if shared:
        yield finding(
            "validation-in-training",
            f"{len(shared)} validation rows have a prompt that is trained on: validation loss would fall whatever is "
            "learnt, and early stopping be blind. Put each prompt into one of the two",
            shared,
        )


def missing_benchmark(name: str) -> Finding:
    return finding(
        "benchmark-not-found",
        f"benchmark {name}, which the rows are to stay clear of, is not in the object store: nothing was compared",
    )
