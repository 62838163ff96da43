"""The loop's commands against real parts: what a person reads, what a program reads, and where each goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from integration.client.homes import Here


@pytest.fixture(scope="module")
def run_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of 30 questions: ten fail alike, two more alike, one for want of evidence; and two lines that are none."""
    path = tmp_path_factory.mktemp("logs") / "Support Runs.jsonl"
    with path.open("w") as file:
        for run in ("r1", "r2"):
            for n in range(30):
                label = "not_json" if n % 3 == 0 else "wrong_field" if n in (1, 2) else None
                line = {
                    "question_id": f"q{n}",
                    "question": f"Where is f{n} defined? [bold]",
                    "evidence_text": f"def f{n}(): ...",
                    "evidence_files": [f"m{n}.py"],
                    "answer": "In a file." if label else f"m{n}.py",
                    "expected_answer": f"m{n}.py",
                    "retrieval_hit": n != 3,
                    "grade": "wrong" if label else "correct",
                    "failure_label": label,
                    "run_id": run,
                }
                file.write(json.dumps(line) + "\n")
        file.write('not json\n{"question_id": "x"}\n')
    return path


def test_the_loop_up_to_training(run: Here, run_log: Path, tmp_path: Path) -> None:
    imported = run("runs", "import", str(run_log))
    assert imported.returncode == 0, imported.stderr
    assert "60 lines taken, 2 rejected" in imported.stdout
    assert "line 61: not JSON" in imported.stderr
    assert [line.split(":")[0] for line in run("runs", "rejected").stdout.splitlines()] == ["line 61", "line 62"]
    assert json.loads(run("runs", "rejected", "--json").stdout.splitlines()[0])["excerpt"] == "not json"
    (manifest,) = [found for found in run.json("runs", "ls") if found["name"] == "support-runs"]

    shown = run("runs", "show", "support-runs", "--label", "not_json", "--limit", "2")
    assert "rows 1–2 of 20" in shown.stdout
    assert (
        run.json("runs", "show", manifest["id"], "--limit", "1")["rows"][0]["question"] == "Where is f0 defined? [bold]"
    )

    diagnosed = run("diagnose")
    assert "58" not in diagnosed.stdout
    assert "24: 22 the model's, 2 retrieval's" in diagnosed.stdout
    assert "Where is f0 defined? [bold]" in diagnosed.stdout
    assert {c["label"]: c["candidate"] for c in run.json("diagnose", manifest["id"])["clusters"]} == {
        "not_json": True,
        "wrong_field": False,
    }

    review = tmp_path / "review.jsonl"
    assert run("review", "export", "--out", str(review)).returncode == 0
    both = run("review", "export", *("--label", "not_json", "--label", "wrong_field"), "--out", str(tmp_path / "both"))
    assert f"/review/{manifest['id']}?label=not_json&label=wrong_field" in both.stderr
    items = [json.loads(line) for line in review.read_text().splitlines()]
    assert list(items[0]) == [
        "question_id",
        "question",
        "evidence_files",
        "original_answer",
        "failure_label",
        "corrected_output",
        "expected_answer",
        "system_prompt",
        "slice",
        "earlier_correction",
        "state",
        "reason",
        "author",
        "version",
        "prompt_key",
        "suggestion",
        "suggested_by",
        "suggestion_grade",
        "answer_a",
        "answer_b",
        "preference",
    ]
    assert {item["failure_label"] for item in items} == {"not_json"}
    piped = run("review", "export", "--label", "not_json")
    assert piped.stdout == review.read_text()
    review.write_text("".join(json.dumps(item | {"corrected_output": '{"file": "m.py"}'}) + "\n" for item in items))
    assert f"{len(items)} corrections" in run("review", "import", str(review)).stdout

    built = run.json("dataset", "build", "fixes", "--label", "not_json", "--seed", "3")
    assert built["counts"]["corrections"] + built["counts"]["held_out"] == len(items)
    assert run.json("dataset", "build", "fixes", "--label", "not_json", "--seed", "3")["version"] == built["version"]
    assert run.json("dataset", "show", "fixes") == built
    assert built in run.json("dataset", "ls")
    assert f"fixes@{built['version']}" in run("dataset", "show", "fixes").stdout
    for line in run.json("dataset", "show", "fixes", "--left-out"):
        assert line["action"] == "left out"
    target = tmp_path / "openai.jsonl"
    exported = run("dataset", "export", "fixes", "--out", str(target))
    assert exported.stdout == ""
    assert len(target.read_text().splitlines()) == built["counts"]["train"]
    folder = target.parent / "as-folder"
    run("dataset", "export", "fixes", "--form", "folder", "--out", str(folder))
    assert {file.name for file in folder.iterdir()} == {"README.md", "croissant.json", "data"}
    again = run("dataset", "export", "fixes", "--form", "folder", "--out", str(folder))
    assert "is there already" in again.stderr
    judged = run.json("dataset", "build", "judged", "--label", "not_json", "--seed", "3", "--format", "kto")
    assert judged["split"]["held_out"] == built["split"]["held_out"]
    lines = run("dataset", "export", "judged", "--form", "kto").stdout.splitlines()
    assert len(lines) == judged["counts"]["train"]
    assert {json.loads(line)["label"] for line in lines} == {True, False}
    for words in (["runs", "ls"], ["dataset", "ls"], ["diagnose"], ["status"]):
        lines = run(*words).stdout.replace(os.environ["BURNISH_HOME"], "HOME").splitlines()  # a path is never broken
        assert all(len(line) <= 80 for line in lines), words


def test_errors_name_what_there_is(run: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = run("runs", "show", "nothing-like-it")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no run log 'nothing-like-it': `burnish runs ls`" in unknown.stderr
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nothing good\n")
    refused = run("runs", "import", str(bad), "--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("error:") == 1
    share = run("dataset", "build", "x", "--label", "not_json", "--held-out-share", "1.5")
    assert share.returncode == 2
    assert "--held-out-share: Input should be less than 1 (given: 1.5)" in share.stderr
    monkeypatch.setenv("BURNISH_TOKEN", "another")
    token = run("runs", "ls")
    assert token.returncode == 1
    assert "BURNISH_TOKEN" in token.stderr


def test_jobs(run: Here) -> None:
    assert run.json("jobs", "ls", "--dataset", "none-such") == []
    missing = run("jobs", "show", "job-0123456789abcdef")
    assert missing.returncode == 1
    assert "`burnish jobs ls`" in missing.stderr
    refused = run("train", "sft", "--dataset", "none-such")
    assert refused.returncode == 1
    assert "none-such" in refused.stderr


def test_benchmarks(run: Here, tmp_path: Path) -> None:
    question = {
        "question_id": "b1",
        "prompt": "1+1?",
        "expected_answer": "2",
        "grader": {"name": "exact"},
        "slice": "sums",
    }
    path = tmp_path / "sums.jsonl"
    path.write_text(json.dumps(question) + "\n")
    imported = run("benchmark", "import", str(path))
    assert imported.returncode == 0, imported.stderr
    assert "1 questions: sums 1" in imported.stdout
    assert run.json("benchmark", "show", "sums")["questions"][0]["question_id"] == "b1"
    assert "sums" in run("benchmark", "ls").stdout
    path.write_text(json.dumps(question | {"expected_answer": None}) + "\n")
    bad = run("benchmark", "import", str(path))
    assert bad.returncode == 2
    assert "line 1" in bad.stderr
