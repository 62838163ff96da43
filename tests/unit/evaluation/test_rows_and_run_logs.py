"""From answers to graded rows and run logs, and back."""

from __future__ import annotations

import pytest
from unit.evaluation.questions import make_questions

from burnish.errors import InvalidInputError
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import Split
from burnish.schemas.runlog import RunLogLine
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.chat import prompt_digest, sampling_digest
from burnish_client.evaluation.grade import check_questions, eval_rows, make_run_log, question_clusters, reuse_run_log
from burnish_client.evaluation.request import Sampling

SAMPLING = Sampling(max_tokens=32)
SPLIT = Split(
    targeted=["q0000", "q0001", "q0002"], held_out=["q0002"], train=["q0000"], validation=["q0001"], anchors=["q0003"]
)


def answer_to(question: BenchmarkQuestion, text: str | None, sample: int = 0, error: str | None = None) -> Answer:
    return Answer(
        model="base",
        question_id=question.question_id,
        sample=sample,
        prompt_digest=prompt_digest(question.prompt_messages()),
        sampling_digest=sampling_digest(SAMPLING.body(sample, question.max_tokens)),
        text=text,
        error=error,
        latency_ms=12.5,
    )


def test_rows_say_what_was_trained_on() -> None:
    questions = make_questions(5, slice="kind")
    rows = eval_rows(questions, [answer_to(q, "all good") for q in questions], SPLIT)
    assert [(r.targeted, r.held_out) for r in rows] == [
        (True, False),
        (True, False),
        (True, True),
        (False, False),
        (False, True),
    ]
    assert {(r.passed, r.score, r.slice, r.latency_ms) for r in rows} == {(True, 1.0, "kind", 12.5)}


def test_rows_of_closed_answers_say_what_a_blind_guess_passes() -> None:
    labels = GraderSpec(name="one_of", args={"labels": ["good", "bad", "ugly", "odd"]})
    questions = [*make_questions(1, grader=labels), make_questions(2)[1]]
    rows = eval_rows(questions, [answer_to(q, "good") for q in questions], None)
    assert [row.chance for row in rows] == [0.25, None]


def test_rows_of_failures_errors_and_skips() -> None:
    wrong, failed, ungradable = make_questions(3)
    ungradable = ungradable.model_copy(update={"expected_answer": " "})
    answers = [answer_to(wrong, "bad"), answer_to(failed, None, error="HTTP 500"), answer_to(ungradable, "x")]
    rows = eval_rows([wrong, failed, ungradable], answers, None)
    assert [(r.passed, r.failure_label, r.error, r.skipped_reason) for r in rows] == [
        (False, "expected-text-missing", None, None),
        (None, None, "HTTP 500", None),
        (None, None, None, "the expected answer is empty"),
    ]
    assert not any(r.targeted for r in rows)


def test_an_answer_to_an_unknown_question_is_refused() -> None:
    (question,) = make_questions(1)
    with pytest.raises(InvalidInputError, match="q0000"):
        eval_rows([], [answer_to(question, "x")], None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grader": GraderSpec(name="nope")}, "'q0000': grader 'nope' does not exist"),
        ({"grader": GraderSpec(name="number")}, "'q0000': its own expected answer does not pass"),
        ({"expected_answer": ""}, "the expected answer is empty"),
        ({"grader": GraderSpec(name="json_fields", args={"fields": {"x": "exact"}}), "expected_answer": "{}"}, "'x'"),
    ],
)
def test_a_benchmark_that_cannot_be_graded_is_found_before_asking(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check_questions(make_questions(1, **fields))


def test_a_good_benchmark_passes_its_own_check() -> None:
    regex = GraderSpec(name="regex", args={"pattern": "^x"})
    check_questions([*make_questions(2), *make_questions(1, grader=regex)])


def make_question_with_evidence() -> BenchmarkQuestion:
    return BenchmarkQuestion(
        question_id="q",
        messages=[
            Message(role="system", content="Be short."),
            Message(role="user", content="def f(): ...\n\nWhat is it?"),
        ],
        expected_answer="good",
        grader=GraderSpec(name="contains"),
        slice="kind",
        question="What is it?",
        evidence_text="def f(): ...",
        evidence_files=["f.py"],
    )


def test_run_log_line_has_all_that_diagnosis_wants() -> None:
    question = make_question_with_evidence()
    correct, incorrect = make_run_log([question], [answer_to(question, "good"), answer_to(question, "bad", 1)], "run")
    assert (correct.grade, correct.failure_label, correct.run_id) == ("correct", None, "run-0")
    assert (incorrect.grade, incorrect.failure_label, incorrect.run_id) == (
        "incorrect",
        "expected-text-missing",
        "run-1",
    )
    assert incorrect.retrieval_hit is True
    assert (incorrect.system_prompt, incorrect.question) == ("Be short.", "What is it?")
    assert prompt_messages(incorrect) == question.prompt_messages()
    assert (incorrect.slice, incorrect.model, incorrect.latency_ms, incorrect.expected_answer) == (
        "kind",
        "base",
        12.5,
        "good",
    )


def test_evidence_that_is_not_in_the_prompt_is_a_retrieval_miss() -> None:
    question = make_question_with_evidence().model_copy(update={"evidence_text": "def g(): ..."})
    (line,) = make_run_log([question], [answer_to(question, "bad")], "run")
    assert line.retrieval_hit is False


def test_errors_and_skips_make_no_run_log_line() -> None:
    question = make_question_with_evidence()
    ungradable = question.model_copy(update={"expected_answer": ""})
    assert make_run_log([question], [answer_to(question, None, error="HTTP 500")], "run") == []
    assert make_run_log([ungradable], [answer_to(ungradable, "x")], "run") == []


def test_a_run_log_gives_back_the_answers_it_was_made_of() -> None:
    questions = make_questions(3)
    answers = [answer_to(q, f"said {s}", s) for q in questions for s in (0, 1)]
    lines = make_run_log(questions, answers, "run")
    back = reuse_run_log(reversed(lines), questions, "base", SAMPLING, samples=2)
    assert list(back) == answers


def test_only_what_would_be_asked_the_same_way_is_reused() -> None:
    questions = make_questions(2)
    lines = make_run_log(questions, [answer_to(q, "x") for q in questions], "run")
    assert reuse_run_log(lines, questions, "other model", SAMPLING, 1) == ()
    assert reuse_run_log(lines, questions, "base", Sampling(max_tokens=33), 1) == ()
    changed = [q.model_copy(update={"prompt": "Q"}) for q in questions]
    assert reuse_run_log(lines, changed, "base", SAMPLING, 1) == ()
    assert len(reuse_run_log(lines, questions, "base", SAMPLING, 2)) == 2


def test_a_run_log_from_elsewhere_is_taken_in_its_order() -> None:
    (question,) = make_questions(1)
    lines = [
        RunLogLine(question_id="q0000", question="q0000", answer=text, retrieval_hit=True, grade="ok", model="base")
        for text in ("first", "second", "third")
    ]
    back = reuse_run_log(lines, [question], "base", SAMPLING, 2)
    assert [(a.sample, a.text) for a in back] == [(0, "first"), (1, "second")]


def test_rows_carry_cluster_grader_and_tokens() -> None:
    (question,) = make_questions(1, evidence_files=["b.py", "a.py"])
    answer = answer_to(question, "good").model_copy(update={"prompt_tokens": 11, "completion_tokens": 5})
    (row,) = eval_rows([question], [answer], None)
    assert (row.cluster, row.grader, row.judge, row.prompt_tokens, row.completion_tokens) == (
        "file:a.py",
        "contains",
        None,
        11,
        5,
    )


def test_questions_that_share_evidence_are_one_cluster() -> None:
    files = [["c"], ["a", "b"], ["d"], ["b", "c"], [], [], ["d", "d"], ["c"]]
    own = [None, None, None, None, None, "mine", None, "mine"]
    questions = [
        question.model_copy(update={"evidence_files": shared, "cluster": cluster})
        for question, shared, cluster in zip(make_questions(8), files, own, strict=True)
    ]
    clusters = list(question_clusters(questions).values())
    assert clusters == ["file:a", "file:a", "file:d", "file:a", None, "mine", "file:d", "mine"]
    assert list(question_clusters(questions[::-1]).values()) == clusters[::-1]


def test_many_questions_in_a_chain_are_one_cluster() -> None:
    questions = [
        question.model_copy(update={"evidence_files": [f"{n:05}", f"{n + 1:05}"]})
        for n, question in enumerate(make_questions(5000))
    ]
    assert set(question_clusters(questions).values()) == {"file:00000"}


CHOICE = GraderSpec(name="multiple_choice", args={"choices": {"A": "x", "B": "good"}, "by": "logprob"})


@pytest.mark.parametrize("expected", ["B", "good"])
def test_graders_that_need_the_endpoint_are_checked_without_it(expected: str) -> None:
    judge = GraderSpec(name="judge", args={"rubric": "It is good."})
    check_questions([*make_questions(1, grader=CHOICE, expected_answer=expected), *make_questions(1, grader=judge)])
    with pytest.raises(InvalidInputError, match="rubric"):
        check_questions(make_questions(1, grader=GraderSpec(name="judge")))
    with pytest.raises(InvalidInputError, match="neither a letter"):
        check_questions(make_questions(1, grader=CHOICE, expected_answer="C"))
    with pytest.raises(InvalidInputError, match="needs `choices`"):
        check_questions(make_questions(1, grader=GraderSpec(name="multiple_choice", args={"by": "logprob"})))


def test_log_probabilities_survive_the_run_log() -> None:
    (question,) = make_questions(1, grader=CHOICE)
    digest = sampling_digest(SAMPLING.of(question, 0))
    asked = answer_to(question, "T").model_copy(
        update={"first_token_logprobs": {"B": -0.1, "A": -3.0}, "sampling_digest": digest}
    )
    lines = make_run_log([question], [asked], "run")
    assert [line.grade for line in lines] == ["correct"]
    assert list(reuse_run_log(lines, [question], "base", SAMPLING, 1)) == [asked]
