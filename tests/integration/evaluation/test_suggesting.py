"""`burnish review suggest`: a teacher on a real socket, its answers graded by the curator, within a budget, and nothing asked twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from curator_thread import TOKEN, curator_thread
from integration.evaluation.chat_server import ChatServer
from runlog_making import jsonl, run

from burnish_client.cli import app as cli
from burnish_client.sdk.curator import CuratorClient

GRADER = {"name": "contains"}


@pytest.fixture
def curator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuratorClient]:
    """With the run log `raw`: ten questions whose answer is their number, and two that the teacher cannot answer."""
    lines = [run(f"q{n}", question=f"Number {n}?", expected_answer=str(n), grader=GRADER) for n in range(10)]
    lines += [
        run("long", question="too long", failure_label="vague"),
        run("shrug", question="Why?", failure_label="vague"),
    ]
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    with curator_thread(tmp_path) as url, CuratorClient(url, TOKEN) as client:
        for name, value in (("HOME", str(tmp_path / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            monkeypatch.setenv(f"BURNISH_{name}", value)
        client.import_run_log(tmp_path / "log.jsonl", "raw")
        yield client


@pytest.fixture
def teacher(server: ChatServer) -> ChatServer:
    """Right about the numbers below 6."""

    def say(model: str, prompt: str) -> str:
        number = "".join(filter(str.isdigit, prompt))
        return "" if not number else f"It is {number if int(number) < 6 else 'a lot'}."

    server.say, server.token = say, "teacher-token"
    return server


def suggest(server: ChatServer, capsys: Any, *more: str, code: int = 0) -> tuple[dict[str, Any], str]:
    words = ["review", "suggest", "raw", "--model", f"{server.url}/v1#big", "--token", "teacher-token", *more, "--json"]
    assert cli.run(words) == code, capsys.readouterr().err
    printed = capsys.readouterr()
    return json.loads(printed.out) if printed.out else {}, printed.err


def test_a_teacher_suggests_and_decides_nothing(curator: CuratorClient, teacher: ChatServer, capsys: Any) -> None:
    forecast, err = suggest(teacher, capsys, "--dry-run", "--price", "1,2,EUR")
    assert (forecast["to_ask"], teacher.requests) == (12, 0)
    assert "to ask: 12 answers, at most about" in err
    assert "EUR" in err
    done, err = suggest(teacher, capsys, "--label", "not-json", "--limit", "4", "--temperature", "0.5")
    assert (done["asked"], done["kept"], done["grades"]) == (4, 4, {"passed": 4, "ungraded": 0, "failed": 0})
    assert (done["prompt_tokens"], done["completion_tokens"]) == (28, 12)
    done, err = suggest(teacher, capsys)
    assert done["grades"] == {"passed": 2, "ungraded": 0, "failed": 4}
    assert done["problems"] == {
        "long": "HTTP 400: the prompt has 9999 tokens, 2048 are allowed",
        "shrug": "the teacher said nothing",
    }
    run_log = curator.find_run_log("raw")
    found = {each.question_id: each for each in curator.suggestions(run_log.id)}
    assert sorted(found) == [f"q{n}" for n in range(10)]
    first = found["q0"]
    assert (first.model, first.text, first.grade, first.grader) == ("big", "It is 0.", "passed", "grader:contains")
    assert first.host == teacher.url.removeprefix("http://")
    assert first.sampling == {"temperature": 0.5, "max_tokens": 256, "seed": 0}
    assert found["q9"].sampling["temperature"] == 0.0
    assert "teacher-token" not in first.model_dump_json()
    assert curator.review_progress(run_log.id).states["open"] == 12
    # What has none is asked again, and nothing else.
    served = teacher.served.total()
    done, _ = suggest(teacher, capsys)
    assert (done["asked"], done["kept"], teacher.served.total() - served) == (2, 0, 1)
    done, _ = suggest(teacher, capsys, "--again", "--label", "not-json", "--limit", "1")
    assert done["kept"] == 1


def test_a_call_that_was_cut_short_asks_only_what_is_missing(
    curator: CuratorClient, teacher: ChatServer, capsys: Any, tmp_path: Path
) -> None:
    right, asked = teacher.say, 0

    def breaks(model: str, prompt: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 7:
            teacher.token = "another"  # the rest of the answers are refusals
        return right(model, prompt)

    teacher.say = breaks
    suggest(teacher, capsys, "--label", "not-json", "--concurrency", "1", code=1)
    run_log = curator.find_run_log("raw")
    assert len(curator.suggestions(run_log.id)) == 7, "what came before the end is kept"
    [replies] = (tmp_path / "home" / "suggesting").iterdir()
    assert len(replies.read_bytes().splitlines()) == 7
    teacher.token, teacher.say = "teacher-token", right
    served = teacher.served.total()
    done, _ = suggest(teacher, capsys, "--label", "not-json")
    assert (done["kept"], teacher.served.total() - served) == (3, 3)
    assert not replies.exists()


def test_the_budget_of_tokens_is_kept_before_anything_is_asked(
    curator: CuratorClient, teacher: ChatServer, capsys: Any
) -> None:
    done, err = suggest(teacher, capsys, "--label", "not-json", "--max-tokens", "100", "--most-tokens", "350")
    assert (done["asked"], done["left"], teacher.served.total()) == (3, 7, 3)
    assert "7 more items do not fit into the budget" in err


def test_answers_that_are_cut_off_are_no_suggestions(curator: CuratorClient, teacher: ChatServer, capsys: Any) -> None:
    teacher.finish_reason = "length"
    done, _ = suggest(teacher, capsys, "--label", "not-json", "--limit", "1", "--max-tokens", "9")
    assert (done["kept"], list(done["problems"].values())) == (0, ["cut off at 9 tokens: raise --max-tokens"])


def test_what_is_no_teacher_is_said(curator: CuratorClient, teacher: ChatServer, capsys: Any) -> None:
    assert cli.run(["review", "suggest", "raw", "--model", f"{teacher.url}"]) == 2
    assert "write URL#NAME" in capsys.readouterr().err
    assert cli.run(["review", "suggest", "raw", "--model", f"{teacher.url}#big", "--label", "unheard"]) == 2
    assert "unheard" in capsys.readouterr().err
