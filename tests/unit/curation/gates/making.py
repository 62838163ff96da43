"""Distinct questions, so that only the planted ones are alike, and builds of datasets from them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from runlog_making import open_log, passing, run

from burnish.curation.build import Guard, build_dataset
from burnish.curation.lengths import CharacterLengths
from burnish.curation.output.sealing import BuiltDataset
from burnish.curation.review.items import Correction
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetSpec, LeftOut
from burnish.schemas.review import TeacherSuggestion

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prose(seed: int, words: int = 12) -> str:
    """Made-up words, different for each seed."""
    draw = random.Random(seed)
    return " ".join("".join(draw.choices(LETTERS, k=draw.randint(4, 9))) for _ in range(words))


def reworded(text: str) -> str:
    """One word is another."""
    return " ".join([*text.split()[:-1], "otherwise"])


def failures(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [run(f"q{n:02d}", question=prose(n), **fields) for n in range(count)]


def corrected(lines: list[dict[str, Any]], **texts: str) -> dict[str, Correction]:
    failing = {line["question_id"]: line for line in lines if line["grade"] == "wrong"}
    return {q: Correction(q, line["failure_label"], texts.get(q, f"right {q}")) for q, line in failing.items()}


def question(question_id: str, prompt: str | None, **fields: Any) -> BenchmarkQuestion:
    grader = GraderSpec(name="exact")
    return BenchmarkQuestion(
        question_id=question_id, prompt=prompt, expected_answer=f"right {question_id}", grader=grader, **fields
    )


def build(
    folder: Path,
    lines: list[dict[str, Any]],
    given: dict[str, Correction] | None = None,
    questions: list[BenchmarkQuestion] | None = None,
    suggestions: dict[str, list[TeacherSuggestion]] | None = None,
    **fields: Any,
) -> BuiltDataset:
    folder.mkdir(exist_ok=True)
    reader, codes = open_log(folder / str(len(list(folder.iterdir()))), lines)
    base = {"name": "fix", "run_log_id": "log1", "labels": ["not-json"], "held_out_share": 0.3, "anchor_ratio": 0}
    spec = DatasetSpec.model_validate(base | ({"benchmark": "b/1"} if questions else {}) | fields)
    guard = Guard(questions) if questions else None
    given = corrected(lines) if given is None else given
    return build_dataset(spec, reader, codes, given, CharacterLengths(), guard, suggestions=suggestions)


def left_out(built: BuiltDataset) -> list[LeftOut]:
    return [LeftOut.model_validate_json(line) for line in built.files["left-out.jsonl"].splitlines()]


def rows(built: BuiltDataset) -> list[dict[str, Any]]:
    return [json.loads(line) for file in ("train.jsonl", "validation.jsonl") for line in built.files[file].splitlines()]


__all__ = ["build", "corrected", "failures", "left_out", "passing", "prose", "question", "reworded", "rows", "run"]
