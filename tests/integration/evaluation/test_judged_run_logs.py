"""`burnish runs grade --judge`: lines that nothing else grades, within a budget, and what a killed call had asked is not asked again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from curator_thread import TOKEN, curator_thread
from integration.evaluation.chat_server import ChatServer
from integration.evaluation.test_judge import block
from runlog_making import jsonl, run

from burnish.curation.log_grading import LogGrader
from burnish.grading.judging.identity import judge_digest
from burnish.schemas.evaluation import JudgeCalibration
from burnish_client.cli import app as cli
from burnish_client.evaluation.judging.run_logs import LineJudge, judge_lines
from burnish_client.evaluation.request import Endpoint, JudgeSettings
from burnish_client.sdk.curator import CuratorClient

RUBRIC = "It says good."


@pytest.fixture
def judged(server: ChatServer) -> list[str]:
    """Answers that the judge was asked about."""
    asked: list[str] = []

    def say(model: str, prompt: Any) -> str:
        asked.append(block(prompt, "ANSWER"))
        return json.dumps({"reason": "seen", "passed": "good" in asked[-1]})

    server.say = say
    return asked


def test_a_judge_grades_what_nothing_else_does(
    server: ChatServer, judged: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    lines = [
        run(f"q{n}", grade=None, failure_label=None, run_id=None, answer=f"{'good' if n % 2 else 'bad'} answer {n}")
        for n in range(10)
    ]
    lines += [lines[0], run("graded", answer="bad but graded"), run("empty", grade=None, failure_label=None, answer="")]
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    (tmp_path / "rubric.txt").write_text(RUBRIC)
    with curator_thread(tmp_path) as url, CuratorClient(url, TOKEN) as client:
        for name, value in (("HOME", str(tmp_path / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            monkeypatch.setenv(f"BURNISH_{name}", value)
        client.import_run_log(tmp_path / "log.jsonl", "raw")
        words = ["runs", "grade", "raw", "--judge", f"{server.url}#judge"]
        assert cli.run(words) == 2
        assert "--judge needs --rubric FILE" in capsys.readouterr().err
        words += ["--rubric", str(tmp_path / "rubric.txt")]

        def grade(*more: str) -> tuple[dict[str, Any], str]:
            assert cli.run([*words, *more, "--json"]) == 0
            printed = capsys.readouterr()
            return json.loads(printed.out), printed.err

        done, err = grade("--judge-most", "4", "--name", "some")
        assert sorted(judged) == [f"{'good' if n % 2 else 'bad'} answer {n}" for n in (0, 2, 1, 3)]
        assert "6 more wait" in err
        assert "not calibrated" in err
        assert done["grades"] == {"incorrect": 4, "correct": 2, "(none)": 6, "wrong": 1}  # one is asked and found twice
        graded = client.find_run_log("some")
        row = client.run_log_rows(graded.id, question="q1").rows[0]
        assert row.graded_by is not None
        assert row.graded_by.model_dump() == {
            "source": "model", "rule": f"judge:judge:{judge_digest('judge', RUBRIC)}", "confidence": None, "calibrated": False
        }  # fmt: skip
        assert client.run_log_rows(graded.id, question="q0").rows[0].failure_label == "judged-wrong"

        # What a call leaves that is killed once everything was judged, before anything was graded.
        raw = client.find_run_log("raw")
        replies = tmp_path / "home" / "grading" / f"{raw.id}-judge.replies.jsonl"
        judge = LineJudge(JudgeSettings(Endpoint(server.url), "judge"), RUBRIC, 1000)
        found = asyncio.run(judge_lines(client.run_log_lines(raw.id), LogGrader(), judge, replies))
        assert (len(found.verdicts), found.left) == (10, 0)
        judged.clear()
        done, _ = grade("--calibration", str(calibration(tmp_path)), "--name", "all")
        assert judged == []
        assert not replies.exists()
        assert done["grades"] == {"incorrect": 7, "correct": 5, "wrong": 1}
        row = client.run_log_rows(client.find_run_log("all").id, question="q1").rows[0]
        assert row.graded_by is not None
        assert (row.graded_by.confidence, (row.graded_by.model_extra or {})["calibrated"]) == (0.8, True)
        other = calibration(tmp_path, rubric="Another one.")
        assert cli.run([*words, "--calibration", str(other)]) == 1
        assert "calibrat" in capsys.readouterr().err


def calibration(folder: Path, rubric: str = RUBRIC) -> Path:
    rates = {f"true_{kind}_{name}": 0.9 for kind in ("positive", "negative") for name in ("rate", "low", "high")}
    made = JudgeCalibration(
        judge=judge_digest("judge", rubric), judge_model="judge", rubric_digest="r", n=60, positives=30,
        kappa=0.8, kappa_low=0.6, kappa_high=0.9, **rates,
    )  # fmt: skip
    file = folder / f"calibration-{len(rubric)}.json"
    file.write_text(made.model_dump_json())
    return file
