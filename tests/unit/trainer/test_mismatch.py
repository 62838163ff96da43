"""Whom KTO compares a row with, and which rows meet in a step."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError
from unit.trainer.made import job_spec

from burnish.schemas.base import VersionRef
from burnish_trainer.data.batches import schedule_rows
from burnish_trainer.data.mismatch import mismatched
from burnish_trainer.data.tokens import EncodedRow, Example


def judged(prompt: int, answer: int, label: bool = True, more: int = 0) -> EncodedRow:
    ids = (prompt, prompt, 90, answer, *[7] * more, 2)
    return EncodedRow((Example(question_id=f"{prompt}/{answer}", ids=ids, prompt_tokens=3),), label)


def test_a_batch_is_mismatched_within_itself_and_with_other_prompts_where_it_can_be() -> None:
    """Two rows of one question side by side: a rotation by one would compare a prompt with its own other answer."""
    rows = [judged(1, 11), judged(1, 12), judged(2, 21), judged(2, 22)]
    others = mismatched(rows, 4, rows)
    assert [other.ids[3] for other in others] == [21, 22, 11, 12]
    assert [other.ids[:3] for other in others] == [row.prompt for row in rows]


def test_of_several_rotations_the_first_of_the_best_is_taken() -> None:
    """Three rows of one prompt and one of another: every rotation leaves two at their own prompt, so the first stays."""
    rows = [judged(1, 11), judged(1, 12), judged(1, 13), judged(2, 21)]
    assert [other.ids[3] for other in mismatched(rows, 4, rows)] == [21, 11, 12, 13]


def test_a_large_batch_does_not_compare_every_row_with_every_other() -> None:
    rows = [judged(prompt, prompt) for prompt in range(4000)]
    began = time.process_time()
    mismatched(rows, len(rows), rows)
    assert time.process_time() - began < 5, "16 million comparisons take longer"


def test_a_last_row_alone_is_mismatched_with_a_stranger() -> None:
    rows = [judged(1, 11), judged(2, 21), judged(3, 31)]
    assert [other.ids[3] for other in mismatched(rows, 2, rows)] == [21, 11, 11]
    assert [other.ids[3] for other in mismatched(rows[:1], 2, rows[:1])] == [11]


def test_answers_of_unlike_length_meet() -> None:
    """Wanted answers short, unwanted ones long: steps by whole length would each be of one kind."""
    rows = [judged(p, p, label=bool(p % 2), more=0 if p % 2 else 50) for p in range(1, 33)]
    spec = job_spec(VersionRef(name="d", version="0" * 16), "kto", optimizer={"batch_size": 8, "max_steps": 4})
    schedule = schedule_rows(rows, spec)
    steps = [schedule.order[start : start + 8] for start in range(0, 32, 8)]
    assert all(0 < sum(rows[row].label for row in step) < 8 for step in steps)
    assert schedule.row_tokens[1] == 2 * 55


def test_one_row_a_batch_is_refused() -> None:
    with pytest.raises(ValidationError, match="batch_size of at least 2"):
        job_spec(VersionRef(name="d", version="0" * 16), "kto", optimizer={"batch_size": 1})
