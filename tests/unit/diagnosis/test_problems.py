"""Is it a fine-tuning problem: what is tried first, on what evidence, and when the answer is no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log, passing, run

from burnish.diagnosis import diagnose
from burnish.schemas.runlog import Advice


def advice(folder: Path, lines: list[dict[str, Any]], label: str | None = "this") -> Advice:
    log, codes = open_log(folder, lines)
    return next(each for each in diagnose("log1", log, codes).advice if each.label == label)


def failures(count: int = 6, runs: int = 2, **fields: Any) -> list[dict[str, Any]]:
    """Questions that fail as `this` in every run."""
    return [run(f"q{i}", run_id=f"r{r}", failure_label="this", **fields) for i in range(count) for r in range(runs)]


EVIDENCE = {"evidence_text": "The deposit is 40 Euros, paid on arrival.", "system_prompt": "Answer from the text."}
CASES: dict[str, tuple[list[dict[str, Any]], str, str | None]] = {
    "service": (failures(answer="", error="502 bad gateway"), "no", None),
    "one-off": (
        [*failures(runs=1), *(passing(f"q{i}", run_id="again") for i in range(6))],
        "no",
        "burnish try log1 this",
    ),
    "too-few": (failures(count=2), "no", "burnish runs show log1 --label this"),
    "cut-off": (failures(finish_reason="length"), "no", "burnish try log1 this --max-tokens 1024"),
    "form": (
        failures(system_prompt="Answer with JSON.", answer="The city is Rome."),
        "not-yet",
        "burnish try log1 this --control schema,few-shot",
    ),
    "evidence-misuse": (
        failures(**EVIDENCE, expected_answer="40 euros"),
        "not-yet",
        "burnish try log1 this --control evidence-last,prompt",
    ),
    "unlabelled-evidence": (failures(**EVIDENCE, expected_answer="12 francs"), "no", None),
    "instructions": (
        failures(answer="I'm sorry, but I cannot help with that."),
        "not-yet",
        "burnish try log1 this --control prompt,few-shot",
    ),
    "behaviour": (failures(answer="It is Rome, as far as I know."), "not-yet", "burnish try log1 this"),
    "contradictory": (
        [line | {"expected_answer": f"answer {i % 2}"} for i, line in enumerate(failures(runs=2))],
        "no",
        None,
    ),
    "unsure-grader": (
        [*failures(answer="Rome"), *(passing(f"q{i}", answer="Rome", run_id="r0") for i in range(6))],
        "no",
        "burnish runs grade log1 --grader GRADER",
    ),
}


def test_failures_that_nobody_asked_again_are_judged_by_what_they_show(tmp_path: Path) -> None:
    answers = {"system_prompt": "Answer with JSON.", "answer": "The city is Rome."}
    assert advice(tmp_path, failures(runs=1, **answers)).problem == "form"


@pytest.mark.parametrize("problem", CASES)
def test_each_problem_has_its_evidence_and_what_to_try_first(tmp_path: Path, problem: str) -> None:
    lines, tune, command = CASES[problem]
    found = advice(tmp_path, lines)
    assert (found.problem, found.tune, found.command) == (problem, tune, command)
    assert found.evidence
    assert found.first


def test_a_grader_that_was_not_sure_goes_before_the_answers_form(tmp_path: Path) -> None:
    doubted = {"source": "model", "confidence": 0.5}
    assert advice(tmp_path, failures(graded_by=doubted)).problem == "unsure-grader"


def test_retrieval_comes_first_and_unlabelled_failures_are_to_be_clustered(tmp_path: Path) -> None:
    lines = [run("lost", retrieval_hit=False), run("nameless", failure_label=None)]
    log, codes = open_log(tmp_path, lines)
    of_log, unlabelled = diagnose("log1", log, codes).advice
    assert (of_log.label, of_log.problem, of_log.tune) == (None, "retrieval", "no")
    assert "1 of 2 failures" in of_log.evidence
    assert (unlabelled.problem, unlabelled.command) == ("unlabelled", "burnish clusters find log1")
