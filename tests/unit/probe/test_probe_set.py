"""The shipped probe set: every item passes its own grader, fails its wrong answer, and says one thing only."""

from __future__ import annotations

import ast
import operator
import re
from collections import Counter

import pytest

from burnish.grading import grade
from burnish.probe import CATEGORIES, MAX_TOKENS, probe_questions, probe_texts, probe_version
from burnish_client.evaluation.grade import check_questions

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
QUESTIONS = probe_questions()
CANNOT_ANSWER = "CANNOT ANSWER"


def calculate(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](calculate(node.left), calculate(node.right))
    assert isinstance(node, ast.Constant)
    return float(node.value)


def test_there_are_enough_items_in_every_category():
    counts = Counter(question.slice for question in QUESTIONS)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= 20
    assert len(QUESTIONS) >= 120


def test_ids_and_prompts_are_unique():
    assert len({question.question_id for question in QUESTIONS}) == len(QUESTIONS)
    assert len({question.prompt for question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.question_id)
def test_the_expected_answer_passes_and_the_wrong_one_fails(question):
    right = grade(question.grader, question.expected_answer, question.expected_answer)
    wrong = grade(question.grader, question.extra["wrong"], question.expected_answer)
    assert (right.passed, wrong.passed) == (True, False), f"{right.detail} {wrong.detail}"
    assert len(question.expected_answer) < 2 * MAX_TOKENS


def test_the_questions_are_a_benchmark():
    check_questions(QUESTIONS)


def test_written_out_sums_are_right():
    checked = 0
    for question in QUESTIONS:
        sum_ = re.match(r"What is ([\d.+\-×() ]+)\? Reply", question.prompt or "")
        if sum_:
            value = calculate(ast.parse(sum_[1].replace("×", "*").strip(), mode="eval").body)
            assert value == pytest.approx(float(question.expected_answer)), question.question_id
            checked += 1
    assert checked >= 12


def test_refusing_everything_or_nothing_gets_half_of_the_nonsense():
    """Each false premise has a twin with a true one: only telling them apart wins."""
    nonsense = [question for question in QUESTIONS if question.slice == "nonsense"]
    refusing = sum(bool(grade(q.grader, CANNOT_ANSWER, q.expected_answer).passed) for q in nonsense)
    assert refusing == len(nonsense) / 2


@pytest.mark.parametrize("answer", [" ", "I am a helpful assistant. How can I help you today?", "42", "yes"])
def test_one_answer_to_everything_gets_next_to_nothing(answer):
    passed = [q.question_id for q in QUESTIONS if grade(q.grader, answer, q.expected_answer).passed]
    assert len(passed) <= 2, passed


def test_texts_are_passages_of_plain_english():
    texts = probe_texts()
    assert len({text.text_id for text in texts}) == len(texts) >= 24
    assert len({text.kind for text in texts}) >= 6
    for text in texts:
        assert 80 <= len(text.text.split()) <= 200, text.text_id
        assert "\n" not in text.text
        assert text.text == text.text.strip()


def test_the_version_is_of_the_content():
    assert re.fullmatch(r"[0-9a-f]{16}", probe_version())
    assert probe_version() == probe_version()
