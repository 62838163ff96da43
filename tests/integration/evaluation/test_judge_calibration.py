"""Calibrating a judge against people, from the command line to the file that binds it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from integration.evaluation.chat_server import ChatServer
from integration.evaluation.test_judge import block

from burnish.errors import InvalidInputError, PreconditionError
from burnish.grading.judging.identity import judge_digest, rubric_digest
from burnish.schemas.evaluation import JudgeCalibration
from burnish.verdict import read_calibration
from burnish_client.cli import app as cli
from burnish_client.evaluation.judging.calibration import (
    HumanLabel,
    calibrate,
    check_calibration,
)
from burnish_client.evaluation.request import Endpoint, JudgeSettings

RUBRIC = "It says good."


def labels(passed: int, failed: int, wrong: int = 0) -> list[HumanLabel]:
    """People pass `good n` and fail `bad n`; of the failed, the first `wrong` ones say good all the same."""
    texts = [(f"good {n}", True) for n in range(passed)] + [
        (f"{'good' if n < wrong else 'bad'} no {n}", False) for n in range(failed)
    ]
    return [HumanLabel(question="Say good.", answer=text, expected="good", passed=human) for text, human in texts]


def write(path: Path, content: list[HumanLabel]) -> Path:
    path.write_text("".join(label.model_dump_json() + "\n" for label in content))
    return path


@pytest.fixture
def judge(server: ChatServer) -> JudgeSettings:
    server.say = lambda model, prompt: json.dumps({"reason": "seen", "passed": "good" in block(prompt, "ANSWER")})
    return JudgeSettings(Endpoint(server.url), "judge")


def test_agreement_is_measured_and_bound(judge: JudgeSettings, tmp_path: Path) -> None:
    found = asyncio.run(calibrate(labels(30, 40, wrong=10), RUBRIC, judge, tmp_path / "replies.jsonl"))
    assert (found.judge, found.rubric_digest) == (judge_digest("judge", RUBRIC), rubric_digest(RUBRIC))
    assert (found.n, found.positives) == (70, 30)
    assert (found.true_positive_rate, found.true_negative_rate) == (1.0, 0.75)
    assert found.kappa == pytest.approx(0.7200, abs=1e-4)  # po 60/70, pe (30·40 + 40·30)/70²
    assert found.kappa_low < found.kappa < found.kappa_high
    assert (found.true_positive_low, found.true_positive_high) == (pytest.approx(0.8865, abs=1e-4), 1.0)
    assert (found.true_negative_low, found.true_negative_high) == (
        pytest.approx(0.5981, abs=1e-4),
        pytest.approx(0.8581, abs=1e-4),
    )


def test_too_few_labels_are_refused_before_anything_is_asked(
    judge: JudgeSettings, server: ChatServer, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="add 2 more that people passed and 15 more that people failed"):
        asyncio.run(calibrate(labels(18, 5), RUBRIC, judge, tmp_path / "replies.jsonl"))
    assert server.requests == 0


def test_a_judge_that_mumbles_cannot_be_calibrated(judge: JudgeSettings, server: ChatServer, tmp_path: Path) -> None:
    server.say = lambda model, prompt: "yes"
    with pytest.raises(PreconditionError, match=r"judgement of only 0 of 40 answers .*no JSON object.*add 20 more"):
        asyncio.run(calibrate(labels(20, 20), RUBRIC, judge, tmp_path / "replies.jsonl"))


def test_a_calibration_of_another_judge_is_refused(judge: JudgeSettings, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    found = asyncio.run(calibrate(labels(20, 20), RUBRIC, judge, tmp_path / "replies.jsonl"))
    path.write_text(found.model_dump_json())
    assert read_calibration(path) == found
    check_calibration(found, {judge_digest("judge", RUBRIC), "other"})
    for others in ({judge_digest("newer judge", RUBRIC)}, {judge_digest("judge", "Other.")}, set[str]()):
        with pytest.raises(PreconditionError, match="is another judge"):
            check_calibration(found, others)
    path.write_text("{}")
    with pytest.raises(InvalidInputError, match="is no judge calibration"):
        read_calibration(path)


def test_the_command_writes_the_calibration_and_asks_nothing_twice(
    judge: JudgeSettings, server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rubric, out = tmp_path / "rubric.txt", tmp_path / "calibration.json"
    rubric.write_text(RUBRIC + "\n")
    people = write(tmp_path / "labels.jsonl", labels(20, 20))
    line = ["judge", "calibrate", "--labels", str(people), "--judge-url", server.url, "--judge-model", "judge"]
    line += ["--rubric", str(rubric), "--out", str(out)]
    assert cli.run([*line, "--json"]) == 0
    printed = JudgeCalibration.model_validate_json(capsys.readouterr().out)
    assert printed == read_calibration(out)
    assert printed.judge == judge_digest("judge", RUBRIC)
    assert cli.run(line) == 0
    shown = capsys.readouterr()
    assert server.requests == 40
    assert "passes what people pass" in shown.out
    assert "no better than chance" not in shown.err


def test_the_command_says_that_a_coin_is_no_judge(
    judge: JudgeSettings, server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.say = lambda model, prompt: json.dumps({"reason": "all fine", "passed": True})
    rubric = tmp_path / "rubric.txt"
    rubric.write_text(RUBRIC)
    line = [
        "judge",
        "calibrate",
        "--labels",
        str(write(tmp_path / "l.jsonl", labels(20, 20))),
        "--judge-url",
        server.url,
    ]
    assert cli.run([*line, "--judge-model", "j", "--rubric", str(rubric), "--out", str(tmp_path / "c.json")]) == 0
    assert "no better than chance" in capsys.readouterr().err
    rubric.write_text(" ")
    assert cli.run([*line, "--judge-model", "j", "--rubric", str(rubric), "--out", str(tmp_path / "c.json")]) == 2
