"""Scores become grades by rules that were given; only booleans and plain words have a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_making import lines_of, written

from burnish.errors import InvalidInputError
from burnish.runlogs.traces.pieces import Feedback
from burnish.runlogs.traces.scores import Scores, parse_rule, read_rules


def graded(tmp_path: Path, scores: list[dict[str, Any]], *rules: str) -> dict[str, Any]:
    call = {"id": "o", "traceId": "t", "type": "GENERATION", "input": "q", "output": "a"}
    rows = [{"id": "s", "traceId": "t", "observationId": "o", "source": "API"} | score for score in scores]
    [line], _ = lines_of([written(tmp_path / "traces.jsonl", [call, *rows])], *rules)
    return line


def number(value: float, name: str = "quality", **fields: Any) -> dict[str, Any]:
    return {"name": name, "dataType": "NUMERIC", "value": value} | fields


def test_a_number_without_a_rule_stops_the_import_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"'quality' \(a number\): 2 from 0.2 to 0.9.*--score 'quality:>=0.55=correct'"
    ):
        graded(tmp_path, [number(0.2), number(0.9)])


@pytest.mark.parametrize(("value", "grade"), [(0.8, "correct"), (0.79, "incorrect")])
def test_one_comparison_divides_all_numbers(tmp_path: Path, value: float, grade: str) -> None:
    line = graded(tmp_path, [number(value)], "quality:>=0.8=correct")
    assert (line["grade"], line["graded_by"]) == (grade, {"source": "code", "rule": "quality:>=0.8=correct"})


def test_between_two_comparisons_there_is_no_grade(tmp_path: Path) -> None:
    rule = "quality:>=4=correct,<=2=incorrect"
    assert [graded(tmp_path, [number(value)], rule)["grade"] for value in (5, 3, 1)] == ["correct", None, "incorrect"]


def test_ignored_scores_are_feedback(tmp_path: Path) -> None:
    line = graded(tmp_path, [number(12.0)], "quality:ignore")
    assert (line["grade"], line["feedback"]) == (None, [{"name": "quality", "value": 12.0, "source": "code"}])


def test_a_human_goes_before_code_before_a_model(tmp_path: Path) -> None:
    said = [
        {"name": "a", "dataType": "BOOLEAN", "value": 1, "source": "EVAL"},
        {"name": "b", "dataType": "BOOLEAN", "value": 0, "source": "ANNOTATION"},
        {"name": "c", "dataType": "BOOLEAN", "value": 1, "source": "API"},
    ]
    assert graded(tmp_path, said)["graded_by"] == {"source": "human", "rule": "b:true=correct,false=incorrect"}
    assert graded(tmp_path, [said[0], said[2] | {"value": 0}])["grade"] == "incorrect"


def test_the_newest_of_one_source_counts(tmp_path: Path) -> None:
    said = [
        {"name": "ok", "dataType": "BOOLEAN", "value": 0, "source": "ANNOTATION", "timestamp": "2026-11-03T00:00:00Z"},
        {"name": "ok", "dataType": "BOOLEAN", "value": 1, "source": "ANNOTATION", "timestamp": "2026-11-02T00:00:00Z"},
    ]
    assert graded(tmp_path, said)["grade"] == "incorrect"


def test_a_boolean_of_something_bad_is_asked_about(tmp_path: Path) -> None:
    said = {"name": "hallucination", "dataType": "BOOLEAN", "value": 1}
    with pytest.raises(InvalidInputError, match="may say something bad"):
        graded(tmp_path, [said])
    assert graded(tmp_path, [said], "hallucination:true=incorrect,false=correct")["grade"] == "incorrect"


def test_words_that_are_no_grades_are_feedback_and_can_be_labels(tmp_path: Path) -> None:
    said = {"name": "topic", "dataType": "CATEGORICAL", "stringValue": "billing"}
    assert graded(tmp_path, [said])["grade"] is None
    assert graded(tmp_path, [said], "topic:billing=wrong")["grade"] == "wrong"


def test_a_rule_of_retrieval_says_hit_or_miss(tmp_path: Path) -> None:
    assert graded(tmp_path, [number(0.1, "recall")], "recall:>=0.5=hit")["retrieval_hit"] is False
    assert graded(tmp_path, [number(0.9, "recall")], "recall:>=0.5=hit")["retrieval_hit"] is True


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("thumbs", "write NAME:CONDITION=MEANING"),
        ("thumbs:true", "is no CONDITION=MEANING"),
        ("thumbs:true=great", "'great' is no known grade"),
        ("thumbs:>=high=correct", "'high' is no number"),
    ],
)
def test_a_broken_rule_says_what_is_wrong(rule: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_rule(rule)


def test_an_option_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"a:b": "true=correct", "c": "ignore"}))
    rules = read_rules(["c:>1=wrong"], file)
    assert (rules["a:b"].words, rules["c"].comparisons) == ({"true": "correct"}, ((">", 1.0, "wrong"),))


def test_mixed_words_are_asked_about() -> None:
    scores = Scores()
    for word in ("correct", "so-so"):
        scores.meaning(Feedback("verdict", word))
    with pytest.raises(InvalidInputError, match="'so-so' beside words that are grades"):
        scores.check()
