"""SmolLM2 as a judge, over a real vLLM: its replies hold to the schema, and calibration finds that it is no judge. Log-probabilities too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from inference_server import InferenceServer

from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.evaluation import EvalRow, JudgeCalibration
from burnish.schemas.models import read_record
from burnish.verdict import decide
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.asking.chat import prompt_digest
from burnish_client.evaluation.grade import check_questions, eval_rows
from burnish_client.evaluation.judging.calibration import HumanLabel, calibrate
from burnish_client.evaluation.judging.judge import judge_sides
from burnish_client.evaluation.request import Endpoint, JudgeSettings, Sampling

pytestmark = [pytest.mark.vllm, pytest.mark.model]

RUBRIC = "The answer names the same city as the expected answer."
CITIES = ["Paris", "Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Delhi", "Seoul", "Quito", "Accra", "Bern", "Riga"]
CITIES += ["Sofia", "Tunis", "Doha", "Hanoi", "Kyiv", "Baku", "Dakar", "Minsk"]


@pytest.fixture(scope="module")
def judge(server: InferenceServer, base_model_dir: Path) -> JudgeSettings:
    endpoint = Endpoint(f"http://127.0.0.1:{server.port}", server.token)
    return JudgeSettings(endpoint, read_record(base_model_dir).name, max_tokens=96)


@pytest.fixture(scope="module")
def calibration(judge: JudgeSettings, tmp_path_factory: pytest.TempPathFactory) -> JudgeCalibration:
    labels = [
        HumanLabel(question="Which city?", answer=f"It is {answer}.", expected=city, passed=city == answer)
        for city, wrong in zip(CITIES, reversed(CITIES), strict=True)
        for answer in (city, wrong)
    ]
    return asyncio.run(calibrate(labels, RUBRIC, judge, tmp_path_factory.mktemp("judge") / "replies.jsonl"))


def test_a_poor_judge_keeps_to_the_schema_and_is_found_to_be_poor(calibration: JudgeCalibration) -> None:
    assert (calibration.n, calibration.positives) == (40, 20)
    assert calibration.kappa_low <= 0


def test_a_poor_judge_decides_nothing(calibration: JudgeCalibration) -> None:
    def rows(passed: bool) -> list[EvalRow]:
        return [
            EvalRow(
                question_id=f"{targeted}{n}",
                targeted=targeted,
                held_out=True,
                passed=passed or not targeted,
                score=1.0,
                judge=calibration.judge,
            )
            for targeted, count in ((True, 60), (False, 200))
            for n in range(count)
        ]

    verdict = decide(rows(False), rows(True), calibration=calibration)
    assert verdict.verdict == "inconclusive"
    assert verdict.targeted.n == 0
    assert verdict.judged is not None
    assert verdict.judged.n == 260


def test_pairs_are_judged_in_both_orders(judge: JudgeSettings, tmp_path: Path) -> None:
    spec = GraderSpec(name="judge", args={"rubric": RUBRIC, "mode": "pairwise"})
    questions = [
        BenchmarkQuestion(question_id=city, prompt="Which city?", expected_answer=city, grader=spec)
        for city in CITIES[:3]
    ]
    sides = [
        [_answer(question, text, model) for question in questions]
        for model, text in (("a", "Paris"), ("b", "Who knows"))
    ]
    judged = asyncio.run(judge_sides(questions, sides, judge, tmp_path / "judge.jsonl"))
    assert len(judged.replies) >= 6
    for base, candidate in zip(*(side.values() for side in judged.judgements), strict=True):
        assert base.problem is None, base.problem
        assert base.score is not None
        assert candidate.score == 1 - base.score


def test_the_likeliest_letter_is_picked_from_real_log_probabilities(judge: JudgeSettings, tmp_path: Path) -> None:
    choices = {"A": "Paris", "B": "London", "C": "Rome"}
    spec = GraderSpec(name="multiple_choice", args={"choices": choices, "by": "logprob"})
    prompt = "What is the capital of France?\nA. Paris\nB. London\nC. Rome\nAnswer with the letter only."
    questions = [BenchmarkQuestion(question_id="france", prompt=prompt, expected_answer="A", grader=spec)]
    check_questions(questions)
    side = Side(judge.endpoint, judge.model, tmp_path / "answers.jsonl")
    (answers,) = asyncio.run(ask_sides([side], questions, sampling=Sampling()))
    (answer,) = answers
    assert answer.completion_tokens == 1
    assert answer.first_token_logprobs is not None
    assert len(answer.first_token_logprobs) >= 15
    (row,) = eval_rows(questions, answers, None)
    assert row.skipped_reason is None
    assert row.passed is not None


def _answer(question: BenchmarkQuestion, text: str, model: str) -> Answer:
    prompt = prompt_digest(question.prompt_messages())
    return Answer(
        model=model, question_id=question.question_id, sample=0, prompt_digest=prompt, sampling_digest="", text=text
    )
