"""From failures to a dataset by a teacher on a real socket: suggested, half reviewed, built, traced back, and erased with their lines."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from curator_thread import TOKEN, curator_thread
from integration.evaluation.chat_server import ChatServer, serving
from runlog_making import jsonl, passing, run

from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.review import ReviewDecision
from burnish_client.cli import app as cli
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.inference import InferenceClient
from burnish_client.sdk.lineage import LineageReader, Node

WORDS = (
    "amber",
    "birch",
    "cobalt",
    "dahlia",
    "ember",
    "fennel",
    "garnet",
    "hazel",
    "indigo",
    "juniper",
    "kelp",
    "lilac",
)
GRADER = {"name": "contains"}


def taught(number: int) -> str:
    return f"The drawer of {WORDS[number]} holds number {number} and nothing else"


def line(number: int, **fields: Any) -> dict[str, Any]:
    word = WORDS[number]
    asked = f"Which number lies in the drawer that is called {word}, beside the window of room {word * 2}?"
    more = {"question": asked, "expected_answer": f"number {number}", "grader": GRADER, "user_id": f"user-{number % 3}"}
    return run(f"q{number}", **(more | fields))


@pytest.fixture
def teacher() -> Iterator[ChatServer]:
    """Wrong about the eleventh and twelfth."""

    def say(model: str, prompt: str) -> str:
        number = next(n for n, word in enumerate(WORDS) if f"called {word}," in prompt)
        return taught(number) if number < 10 else "I have lost count of the drawers, sorry"

    with serving(ChatServer(say=say)) as server:
        yield server


def test_a_teachers_answers_go_into_a_dataset_and_out_of_it(
    teacher: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line(n) for n in range(12)] + [passing(f"ok-{n}", question=f"{WORDS[n]} is a plant?") for n in range(12)]
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    store = MemoryObjectStore()
    with curator_thread(tmp_path, store) as url, CuratorClient(url, TOKEN) as client:
        for name, value in (("HOME", str(tmp_path / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            monkeypatch.setenv(f"BURNISH_{name}", value)

        def burnish(*words: str) -> str:
            assert cli.run(list(words)) == 0, capsys.readouterr().err
            printed = capsys.readouterr()
            return printed.out + printed.err

        run_log = client.import_run_log(tmp_path / "log.jsonl", "drawers").manifest
        said = burnish("review", "suggest", "drawers", "--label", "not-json", "--model", f"{teacher.url}#big")
        assert "12 suggestions for 12 items: 10 pass their grader, 2 fail it, 0 are not graded" in " ".join(
            said.split()
        )

        # A person takes one over from a file, writes another, and sets a third aside.
        file = tmp_path / "review.jsonl"
        burnish("review", "export", "drawers", "--label", "not-json", "--prefill", "suggestion", "--out", str(file))
        items = {item["question_id"]: item for item in map(json.loads, file.read_text().splitlines())}
        assert items["q0"]["corrected_output"] == items["q0"]["suggestion"] == taught(0)
        assert (items["q0"]["suggested_by"], items["q0"]["suggestion_grade"]) == (
            f"big at {teacher.url.removeprefix('http://')}", "passed",
        )  # fmt: skip
        assert (items["q11"]["corrected_output"], items["q11"]["suggestion_grade"]) == ("", "failed")
        file.write_bytes(jsonl([items["q0"]]))
        burnish("review", "import", str(file), "--run-log", "drawers", "--author", "mia")
        client.decide(
            run_log.id, ReviewDecision(question_id="q1", state="corrected", output="It is number 1.", author="mia")
        )
        client.decide(
            run_log.id, ReviewDecision(question_id="q2", state="dismissed", reason="fine as it is", author="mia")
        )
        assert [event.state for event in client.review_history(run_log.id, "q0")] == ["accepted"]

        said = burnish(
            "dataset", "build", "taught", "--run-log", "drawers", "--label", "not-json", "--source", "teacher",
            "--held-out-share", "0.2", "--anchor-ratio", "0.3",
        )  # fmt: skip
        assert "corrections are a teacher's" in " ".join(said.split())
        dataset = client.dataset("taught")
        assert set(dataset.split.targeted) == {f"q{n}" for n in range(10)} - {"q2"}
        kinds = {question: each.kind for each in dataset.origins for question in each.questions}
        trained = {*dataset.split.train, *dataset.split.validation}
        expected = dict.fromkeys(trained, "grader-verified") | {"q0": "accepted", "q1": "corrected"}
        assert kinds == {q: expected[q] for q in trained}
        left_out = {each.question_id: each.reason for each in client.left_out("taught", dataset.version)}
        assert "a grader fails the teacher's answer" in left_out["q11"]
        assert left_out["q2"] == "no correction"
        shown = " ".join(burnish("dataset", "show", "taught").split())
        assert "grader-verified" in shown

        with InferenceClient("http://127.0.0.1:9", TOKEN) as nobody:
            found = {
                node.name: node.says for node in walk(LineageReader(client, nobody).of("taught", "dataset").made_from)
            }
        some = next(q for q in sorted(trained) if kinds[q] == "grader-verified")
        assert found[some].startswith("grader-verified, by big at 127.0.0.1")

        # Erasing a user takes the suggestions for their questions too: from the database, the rows and the proof.
        preview = client.erase(user="user-0", preview=True)
        assert preview.suggestions == 4
        record = client.erase(user="user-0")
        assert (record.state, record.suggestions) == ("done", 4)
        assert record.scan is not None
        assert record.scan.found == []
        assert sorted({each.question_id for each in client.suggestions(run_log.id)}) == sorted(
            f"q{n}" for n in range(12) if n % 3
        )
        less = client.dataset("taught")
        assert {q for each in less.origins for q in each.questions} == {q for q in trained if int(q[1:]) % 3}
        bodies = b"".join(store.get(info.key) for info in store.list(""))
        with sqlite3.connect(tmp_path / "curator.db") as connection:
            kept = str(connection.execute("SELECT * FROM review_suggestions").fetchall())
        for number in range(10):
            spelt = taught(number)
            assert (spelt in kept, spelt.encode() in bodies) == (
                bool(number % 3),
                f"q{number}" in {q for q in trained if int(q[1:]) % 3 and q != "q1"},
            )
        assert b"drawer of garnet" not in (tmp_path / "curator.db").read_bytes()

        client.remove_dataset("taught", less.version)
        client.remove_review(run_log.id)
        assert client.suggestions(run_log.id) == []


def walk(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from walk(node.children)
