"""`burnish runs import` of other tools' traces, against the real curator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from curator_thread import TOKEN, curator_thread
from integration.client.homes import Here
from runlog_making import jsonl, run
from trace_making import FIXTURES, written

from burnish.curation.log_grading import LogGrader
from burnish.schemas.runlog import RunLogLine
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.log_grading import grade_run_log

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
    assert "nothing was imported; the same command without --preview imports it" in shown.stderr
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
    seen = burnish("runs", "import", str(FIXTURES / "helicone.jsonl"), "--preview")
    assert "set what passes: --score 'length:>=12=correct'" in " ".join(seen.stderr.split())
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


def test_a_log_is_graded_into_a_new_one_and_a_killed_call_goes_on(
    burnish: Here, tmp_path: Path, curator_url: str
) -> None:
    said = "Answer in JSON."
    lines = [
        run(f"q{n}", grade=None, failure_label=None, system_prompt=said, answer="no" if n % 2 else "{}", n=n)
        for n in range(40)
    ]
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    assert burnish("runs", "import", str(tmp_path / "log.jsonl"), "--name", "raw").returncode == 0
    with CuratorClient(curator_url, TOKEN) as client:
        manifest = client.find_run_log("raw")
        grader = Stopping()
        with pytest.raises(KeyboardInterrupt):
            grade_run_log(client, manifest, grader, "raw", tmp_path / "home" / "grading")
        with next((tmp_path / "home" / "grading").iterdir()).open("ab") as torn:
            torn.write(b'{"question_id": "q9')
        done = burnish.json("runs", "grade", "raw", "--name", "graded")
        assert (done["lines"], done["changed"]) == (40, 20)
        assert done["found"] == [{"grade": "incorrect", "failure_label": "invalid-json", "lines": 20}]
        graded = client.find_run_log("graded")
        assert (graded.parents[0].digest, graded.grades) == (manifest.id, {"(none)": 20, "incorrect": 20})
        assert [row.model_extra["n"] for row in client.run_log_rows(graded.id).rows] == list(range(40))
    again = burnish("runs", "grade", "graded")
    assert "nothing was found in 40 lines" in again.stdout
    assert list((tmp_path / "home" / "grading").iterdir()) == []


class Stopping(LogGrader):
    """Is killed at the tenth line."""

    def graded(self, line: RunLogLine) -> tuple[RunLogLine, str | None]:
        if (line.model_extra or {})["n"] == 9:
            raise KeyboardInterrupt
        return super().graded(line)


def langfuse_export(folder: Path) -> list[Path]:
    """Pages of the API: eight questions in two sessions, which fail alike, are thumbed down and corrected; and 30 that are well."""
    observations, scores = [], []
    for number in range(38):
        fails = number < 8
        for session in range(2):
            trace = f"t{number}-{session}"
            told = {
                "messages": [
                    {"role": "system", "content": "Answer in JSON."},
                    {"role": "user", "content": f"State of ticket {number}?"},
                ]
            }
            answer = "Sure! It is open." if fails else '{"state": "open"}'
            observations.append(
                {
                    "id": f"o-{trace}",
                    "traceId": trace,
                    "type": "GENERATION",
                    "startTime": f"2026-11-02T08:{number:02d}:00Z",
                    "input": told,
                    "output": answer,
                    "model": "small-1",
                }
            )
            about = {"traceId": trace, "observationId": f"o-{trace}", "timestamp": "2026-11-02T09:00:00Z"}
            scores.append(
                {
                    "id": f"s-{trace}",
                    "name": "user-feedback",
                    "dataType": "BOOLEAN",
                    "value": int(not fails),
                    "source": "API",
                }
                | about
            )
            if fails:
                scores.append(
                    {
                        "id": f"c-{trace}",
                        "name": "output",
                        "dataType": "CORRECTION",
                        "stringValue": '{"state": "open"}',
                        "source": "ANNOTATION",
                    }
                    | about
                )
    files = [folder / "observations.json", folder / "scores.json"]
    for file, rows in zip(files, (observations, scores), strict=True):
        file.write_text(json.dumps({"data": rows, "meta": {}}))
    return files


def chats(folder: Path) -> list[Path]:
    """Plain chats: the same, with nothing but thumbs, and most of the good ones without."""
    rows = []
    for number in range(38):
        for again in range(2):
            fails = number < 8
            answer = "I'm sorry, I can't help with that." if fails else f"Ticket {number} is open."
            messages = [
                {"role": "user", "content": f"State of ticket {number}?"},
                {"role": "assistant", "content": answer},
            ]
            rows.append(
                {"messages": messages, "id": f"{number}-{again}"}
                | ({"thumbs": "down"} if fails else {"thumbs": "up"} if number % 3 else {})
            )
    return [written(folder / "chats.jsonl", rows)]


@pytest.mark.parametrize(
    ("export", "label", "prefill"),
    [(langfuse_export, "invalid-json", ["--prefill", "expected"]), (chats, "refusal", [])],
)
def test_from_an_export_to_a_dataset(
    burnish: Here, tmp_path: Path, export: Callable[[Path], list[Path]], label: str, prefill: list[str]
) -> None:
    name = f"walk-{label}"
    files = [str(file) for file in export(tmp_path)]
    imported = burnish("runs", "import", *files, "--name", name)
    assert imported.returncode == 0, imported.stderr
    before = burnish.json("diagnose", name)
    assert (before["failing"], before["unlabelled"], before["retrieval_unknown"]) == (16, 16, 16)
    assert burnish("runs", "grade", name).returncode == 0
    diagnosis = burnish.json("diagnose", name)
    assert [(c["label"], c["questions"], c["candidate"]) for c in diagnosis["clusters"]] == [(label, 8, True)]
    review = tmp_path / "review.jsonl"
    assert burnish("review", "export", name, *prefill, "--out", str(review)).returncode == 0
    items = [json.loads(line) for line in review.read_text().splitlines()]
    assert len(items) == 8
    if prefill:
        assert {item["corrected_output"] for item in items} == {'{"state": "open"}'}
    written(review, [item | {"corrected_output": item["corrected_output"] or "Ticket 1 is open."} for item in items])
    assert "8 corrections" in burnish("review", "import", str(review), "--run-log", name).stdout
    built = burnish.json("dataset", "build", name, "--run-log", name, "--label", label, "--anchor-ratio", "1")
    assert built["counts"]["train"] + built["counts"]["validation"] > built["counts"]["anchors"] > 0
    assert built["counts"]["held_out"] > 0
    rows = burnish("dataset", "export", name, "--form", "openai-messages").stdout.splitlines()
    assert len(rows) == built["counts"]["train"]


def test_thumbs_alone_become_a_dataset_and_a_benchmark_draft(burnish: Here, tmp_path: Path) -> None:
    rows = [row | {"id": f"thumbs-{row['id']}"} for row in map(json.loads, chats(tmp_path)[0].read_text().splitlines())]
    file = str(written(tmp_path / "thumbs.jsonl", rows))
    assert burnish("runs", "import", file, "--name", "thumbs").returncode == 0
    assert burnish("clusters", "find", "thumbs").returncode == 0
    asked = ("dataset", "build", "thumbs", "--run-log", "thumbs", "--label", "refusal")
    refused = burnish(*asked)
    assert refused.returncode != 0
    assert "`--format kto` takes wrong answers as unwanted" in " ".join(refused.stderr.split())
    built = burnish(*asked, "--format", "kto")
    assert "no benchmark yet? burnish benchmark draft" in " ".join(built.stderr.split())
    draft = tmp_path / "benchmark.jsonl"
    made = burnish("benchmark", "draft", "thumbs", "--dataset", "thumbs", "--grader", "exact", "--out", str(draft))
    assert made.returncode == 0, made.stderr
    questions = [json.loads(line) for line in draft.read_text().splitlines()]
    held_out = burnish.json("dataset", "show", "thumbs")["split"]["held_out"]
    assert sorted(q["question_id"] for q in questions if not q["expected_answer"]) == held_out
    assert {q["grader"]["name"] for q in questions} == {"exact"}
    assert f"20 with the answer of a run that passed, {len(held_out)} open" in " ".join(made.stderr.split())
    assert "expected_answer of" in burnish("benchmark", "import", str(draft)).stderr
    unknown = burnish("benchmark", "draft", "thumbs", "--grader", '{"args": {}}')
    assert (unknown.returncode, "--grader" in unknown.stderr) == (2, True)


def test_waiting_traces_are_listed_and_cut(burnish: Here, curator_url: str) -> None:
    assert "no traces wait" in burnish("runs", "cut").stderr
    for line in (FIXTURES / "otel.jsonl").read_text().splitlines():
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.post(f"{curator_url}/v1/traces", json=json.loads(line), headers=headers).status_code == 200
    [waiting] = burnish.json("runs", "cut")
    assert waiting["name"] in burnish("runs", "cut").stdout
    assert "3 lines" in burnish("runs", "cut", waiting["name"]).stdout
    assert "no traces of" in burnish("runs", "cut", waiting["name"]).stderr
