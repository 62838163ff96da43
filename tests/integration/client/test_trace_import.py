"""`burnish runs import` of other tools' traces, against the real curator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from curator_thread import TOKEN, curator_thread
from integration.client.homes import Here
from runlog_making import jsonl, run
from trace_making import FIXTURES, written

LANGFUSE = [str(FIXTURES / "langfuse-observations.json"), str(FIXTURES / "langfuse-scores.json")]


@pytest.fixture(scope="module")
def curator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with curator_thread(tmp_path_factory.mktemp("curator")) as url:
        yield url


@pytest.fixture
def burnish(
    curator_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BURNISH_CURATOR_URL", curator_url)
    monkeypatch.setenv("BURNISH_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "120")
    return Here(capsys)


def test_a_preview_says_what_it_would_come_to_and_imports_nothing(burnish: Here) -> None:
    shown = burnish("runs", "import", *LANGFUSE, "--preview")
    assert shown.returncode == 0, shown.stderr
    assert "is langfuse: an observation of type RETRIEVER" in " ".join(shown.stderr.split())
    assert "3: 1 correct, 1 incorrect, 1 ungraded" in shown.stdout
    assert "tenant (3), in `metadata`" in shown.stdout
    assert "score user-feedback, 2: True (1), False (1): rule true=correct,false=incorrect" in shown.stderr
    found = burnish.json("runs", "import", *LANGFUSE, "--preview")
    assert [row["answer"] for row in found["rows"]][1] == "Sure! Ticket 7 is open."
    assert found["unmapped"] == {"tenant": 3}
    assert burnish.json("runs", "ls") == []


def test_traces_become_a_run_log(burnish: Here) -> None:
    made = burnish("runs", "import", *LANGFUSE, "--name", "langfuse")
    assert made.returncode == 0, made.stderr
    assert "3 lines taken, 0 rejected" in made.stdout
    [row] = burnish.json("runs", "show", "langfuse", "--grade", "incorrect")["rows"]
    assert (row["trace_id"], row["user_id"], row["correction"]) == ("trace-1", "user-1", '{"state": "open"}')
    assert row["graded_by"] == {"source": "human", "rule": "correction", "confidence": None}
    diagnosis = burnish.json("diagnose", "langfuse")
    assert (diagnosis["model_attributed"], diagnosis["retrieval_unknown"], diagnosis["ungraded"]) == (1, 1, 1)
    assert "retrieval unknown of 1 failures" in " ".join(burnish("diagnose", "langfuse").stdout.split())


def test_a_score_without_a_rule_stops_before_anything_is_sent(burnish: Here, tmp_path: Path) -> None:
    before = burnish.json("runs", "ls")
    refused = burnish("runs", "import", str(FIXTURES / "helicone.jsonl"), "--name", "helicone")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--score 'length:>=12=correct'" in " ".join(refused.stderr.split())
    assert burnish.json("runs", "ls") == before
    rules = str(written(tmp_path / "rules.json", [{"length": "ignore"}]))
    made = burnish("runs", "import", str(FIXTURES / "helicone.jsonl"), "--name", "helicone", "--scores", rules)
    assert made.returncode == 0, made.stderr


def test_our_own_format_is_sent_as_it_is_and_rejected_as_before(burnish: Here, tmp_path: Path) -> None:
    log = tmp_path / "own.jsonl"
    log.write_bytes(b"nonsense\n" + jsonl([run("q1"), {"question_id": "q2"}]))
    made = burnish("runs", "import", str(log))
    assert "1 lines taken, 2 rejected" in made.stdout
    as_array = tmp_path / "own.json"
    as_array.write_text(json.dumps([run("q1"), run("q2", grade="meh")]))
    asked = burnish("runs", "import", str(as_array))
    assert "--grade meh=…" in " ".join(asked.stderr.split())
    assert burnish("runs", "import", str(as_array), "--grade", "meh=wrong").returncode == 0
