"""Lines without a grade are graded by a benchmark, a grader or signatures; what has a grade keeps it."""

from __future__ import annotations

from typing import Any

import pytest
from runlog_making import run

from burnish.curation.log_grading import LogGrader
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.runlog import RunLogLine


def line(**fields: Any) -> RunLogLine:
    return RunLogLine.read(run(**({"grade": None, "failure_label": None, "answer": "Berlin is it"} | fields)))


QUESTION = BenchmarkQuestion(
    question_id="b1", prompt="What is q1?", expected_answer="Berlin", grader=GraderSpec(name="contains")
)


def test_a_benchmark_grades_by_id_and_by_prompt() -> None:
    grader = LogGrader(questions=(QUESTION,))
    for asked in (line(question_id="b1", question="other"), line()):
        graded, rule = grader.graded(asked)
        assert (graded.grade, graded.expected_answer, rule) == ("correct", "Berlin", "benchmark:contains")
        assert graded.graded_by is not None
        assert (graded.graded_by.source, graded.graded_by.rule) == ("code", "benchmark:contains")
    wrong, _ = grader.graded(line(answer="Bonn"))
    assert wrong.grade == "incorrect"
    assert wrong.failure_label


def test_a_grader_takes_the_expected_answer_of_the_line() -> None:
    grader = LogGrader(spec=GraderSpec(name="exact"))
    assert grader.graded(line(expected_answer="Berlin is it"))[0].grade == "correct"
    assert grader.graded(line())[0].grade is None, "nothing is expected"
    own = line(expected_answer="Berlin", grader={"name": "contains", "args": {}})
    assert grader.graded(own)[1] == "grader:contains", "the line's own grader goes first"


@pytest.mark.parametrize("grade", ["correct", "acceptable"])
def test_what_passes_keeps_its_grade(grade: str) -> None:
    given = line(grade=grade, answer="")
    assert LogGrader().graded(given) == (given, None)


def test_a_failure_gets_a_label_and_keeps_who_graded_it() -> None:
    given = line(grade="incorrect", answer="", graded_by={"source": "human"})
    graded, rule = LogGrader().graded(given)
    assert (graded.grade, graded.failure_label, rule) == ("incorrect", "empty", "signature:empty")
    assert graded.graded_by == given.graded_by


def test_no_signature_is_no_grade_and_an_error_is_a_label_alone() -> None:
    assert LogGrader().graded(line())[0].grade is None
    failed, _ = LogGrader().graded(line(answer="", error="HTTP 429"))
    assert (failed.grade, failed.failure_label) == (None, "error")


def test_the_key_is_of_the_rules() -> None:
    assert LogGrader().key == LogGrader().key != LogGrader(expects_json=True).key
