"""`burnish verdict`: alone, offline, and read by its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from burnish.schemas.evaluation import EXIT_CODES, EvalRow, Verdict
from burnish_client.cli import app as cli


def rows(side: str, targeted_passed: int, rest_passed: int, samples: int) -> list[EvalRow]:
    """40 held-out targeted questions and 200 others, of which the first so many pass."""
    kinds = [("t", True, targeted_passed, 40), ("r", False, rest_passed, 200)]
    return [
        EvalRow(
            question_id=f"{kind}{n}",
            sample=sample,
            slice=kind,
            targeted=targeted,
            held_out=True,
            passed=n < passed,
            score=float(n < passed),
            answer=f"{side} {n}",
        )
        for kind, targeted, passed, total in kinds
        for n in range(total)
        for sample in range(samples)
    ]


def write(folder: Path, candidate_targeted: int, candidate_rest: int) -> list[str]:
    files = {"base": rows("base", 4, 120, 2), "candidate": rows("candidate", candidate_targeted, candidate_rest, 1)}
    for name, content in files.items():
        (folder / f"{name}.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in content))
    return ["verdict", "--base", str(folder / "base.jsonl"), "--candidate", str(folder / "candidate.jsonl")]


@pytest.mark.parametrize(
    ("targeted", "rest", "expected"),
    [(36, 120, "ship"), (36, 118, "inconclusive"), (36, 80, "investigate"), (4, 120, "data-quality"), (2, 60, "stop")],
)
def test_the_exit_code_is_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], targeted: int, rest: int, expected: str
) -> None:
    code = cli.run([*write(tmp_path, targeted, rest), "--json"])
    printed = capsys.readouterr()
    verdict = Verdict.model_validate_json(printed.out)
    assert verdict.verdict == expected
    assert code == EXIT_CODES[verdict.verdict]
    assert printed.err == ""


def test_what_a_person_reads_fits_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cli.run(write(tmp_path, 36, 100))
    text = capsys.readouterr().out
    assert text.startswith("investigate")
    assert "targeted, held out" in text
    assert "10%" in text
    assert "90%" in text
    assert "20 regressions: r100" in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "candidate.jsonl"),
        ("{}\n", "candidate.jsonl line 1"),
        ('{"question_id": "a"', "candidate.jsonl line 1"),
        (
            json.dumps({"question_id": "t0", "targeted": True, "held_out": True, "passed": True, "score": 7}) + "\n",
            "score",
        ),
    ],
)
def test_bad_input_exits_2_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, told: str
) -> None:
    arguments = write(tmp_path, 36, 60)
    (tmp_path / "candidate.jsonl").write_text(content)
    assert cli.run([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["verdict", "--base", str(tmp_path / "no.jsonl"), "--candidate", str(tmp_path / "no.jsonl")]) == 2
    assert "no.jsonl" in capsys.readouterr().err.replace("\n", "")


def test_margin_and_arms_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = write(tmp_path, 36, 118)
    assert cli.run([*arguments, "--margin", "5", "--arm", f"same={tmp_path / 'candidate.jsonl'}", "--json"]) == 0
    verdict = Verdict.model_validate_json(capsys.readouterr().out)
    assert (verdict.margin, verdict.cheaper_rung) == (0.05, "same")
    assert cli.run([*arguments, "--arm", "no-file"]) == 2
    assert "NAME=FILE" in capsys.readouterr().err


def test_a_calibration_that_is_none_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.json").write_text("{}")
    assert cli.run([*write(tmp_path, 36, 120), "--calibration", str(tmp_path / "c.json")]) == 2
    assert "judge calibrate" in capsys.readouterr().err.replace("\n", " ")


def test_eval_plan_says_what_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["eval", "plan", "--targeted", "30", "--rest", "60", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["noninferiority_power"], plan["needs_rest"]) == (0.0, 149)
    assert 0.1 < plan["detectable_improvement"] < 0.3
    write(tmp_path, 36, 120)
    assert cli.run(["eval", "plan", "--base", str(tmp_path / "base.jsonl"), "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert (taken["targeted"], taken["rest"], taken["noise"], taken["noninferiority_power"]) == (40, 200, 0.0, 1.0)
    assert cli.run(["eval", "plan", "--targeted", "30", "--rest", "400", "--noise", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["needs_samples"] > 1
    assert cli.run(["eval", "plan", "--targeted", "30"]) == 2
    capsys.readouterr()
    benchmark = ["--benchmark", str(Path(__file__).parents[3] / "examples/support-tickets/benchmark.jsonl")]
    assert cli.run(["eval", "plan", *benchmark, "--targeted-slice", "record", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["targeted"], plan["rest"], plan["cluster_size"]) == (40, 48, 1.0)
    assert cli.run(["eval", "plan", *benchmark, "--targeted-slice", "records"]) == 2
    assert "customer-name, order-number, record" in " ".join(capsys.readouterr().err.split())
    assert cli.run(["eval", "plan", "--targeted", "9", "--rest", "9", "--targeted-slice", "record"]) == 2
    capsys.readouterr()
    assert cli.run(["eval", "plan", "--targeted", "30", "--rest", "60"]) == 0
    assert "149 rest questions" in capsys.readouterr().out
