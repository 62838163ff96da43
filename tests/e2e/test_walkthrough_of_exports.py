"""From an export to a verdict, as strangers go: every command of docs/from-langfuse.md and of docs/from-thumbs.md on a made export.

In the stack of the session. Few rows and few steps: that the walk ends in an honest verdict is asked for, not which one.
By its name it comes after test_walkthrough.py, whose page shows the estimate of a stack that has trained nothing yet.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import export_making
import pytest
from e2e.command import Run
from e2e.console_blocks import steps
from e2e.walking import ByHand, walk
from trace_making import written
from whole_stack import WholeStack

from burnish.schemas.evaluation import EXIT_CODES

DOCS = Path(__file__).parents[2] / "docs"


def correct(review: Path) -> None:
    """What a person does to a review file: reads what is filled in, and writes what is missing."""
    items = [json.loads(line) for line in review.read_text().splitlines()]
    for item in items:
        item["corrected_output"] = item["corrected_output"] or export_making.record(item["question"])
    written(review, items)


def answer(benchmark: Path) -> None:
    """What a person does to a drafted benchmark: answers the open questions."""
    questions = [json.loads(line) for line in benchmark.read_text().splitlines()]
    is_open = [not question["expected_answer"] for question in questions]
    assert any(is_open)
    assert sorted(is_open, reverse=True) == is_open
    for question in questions:
        question["expected_answer"] = question["expected_answer"] or export_making.record(question["question"])
    written(benchmark, questions)


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.parametrize(
    ("page", "export", "by_hand", "name"),
    [
        ("from-langfuse.md", export_making.langfuse_export, {"review.jsonl": correct}, "bookings"),
        ("from-thumbs.md", export_making.chats_with_thumbs, {"benchmark.jsonl": answer}, "chats"),
    ],
    ids=["langfuse", "thumbs"],
)
def test_from_an_export_to_a_verdict(
    whole_stack: WholeStack,
    stack: Run,
    tmp_path: Path,
    page: str,
    export: Callable[[Path, int], None],
    by_hand: ByHand,
    name: str,
) -> None:
    export(tmp_path, 17)
    walk(steps(DOCS / page), tmp_path, stack, whole_stack.told_by_up, by_hand)
    verdict = json.loads((tmp_path / "result/verdict.json").read_text())
    sides = ("--base", "result/base.jsonl", "--candidate", "result/candidate.jsonl")
    assert stack("verdict", *sides, cwd=tmp_path).returncode == EXIT_CODES[verdict["verdict"]]
    assert verdict["targeted"]["base"] == 0  # the base fails as the log says
    dataset = json.loads(stack("dataset", "show", name, "--json").stdout)
    rows = [json.loads(line) for line in (tmp_path / "result/candidate.jsonl").read_text().splitlines()]
    assert {row["question_id"] for row in rows if row["targeted"] and row["held_out"]} == set(
        dataset["split"]["held_out"]
    )
    assert len(dataset["split"]["held_out"]) >= 6
