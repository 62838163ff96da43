"""KTO's second reading of a batch: each prompt with another row's answer, from which the divergence is estimated.

Preflight counts these sequences, and the worker trains on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq

from burnish_trainer.data.tokens import EncodedRow, Example


def mismatched(rows: Sequence[EncodedRow], batch_size: int, others: Sequence[EncodedRow]) -> list[Example]:
    """Each row's prompt with the answer of another row of its device batch.

    A batch is turned by one rotation, so that its answers are the same set both ways: the first rotation that gives the
    fewest rows an answer to their own prompt. A last batch of one row takes its answer from `others`.
    """
    found: list[Example] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        if len(batch) > 1:
            turned = _turned(batch)
        else:
            turned = [next((other for other in others if other.prompt != batch[0].prompt), batch[0])]
        found += [_answered(row, other) for row, other in zip(batch, turned, strict=True)]
    return found


def _turned(batch: Sequence[EncodedRow]) -> list[EncodedRow]:
    """The first of the best rotations; one in which no row meets its own prompt ends the search, which is nearly always the first."""
    prompts = [row.prompt for row in batch]
    best, fewest = 1, len(batch) + 1
    for turn in range(1, len(batch)):
        met = sum(map(eq, prompts, [*prompts[-turn:], *prompts[:-turn]]))
        if met < fewest:
            best, fewest = turn, met
        if not met:
            break
    return [*batch[-best:], *batch[:-best]]


def _answered(row: EncodedRow, other: EncodedRow) -> Example:
    answer = other.examples[0].ids[len(other.prompt) :]
    return row.examples[0].model_copy(update={"ids": row.prompt + answer})
