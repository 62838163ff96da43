"""The curator's SDK against the real curator on a socket."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from curator_thread import TOKEN, curator_thread

from burnish import grading
from burnish.digests import sha256_hex
from burnish.errors import AlreadyExistsError, InvalidInputError, NotFoundError, UnauthenticatedError, UnavailableError
from burnish.schemas.base import FileEntry
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetSpec
from burnish.schemas.evaluation import EvalManifest
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.dataset_diff import diff_datasets
from burnish_client.sdk.review_files import to_csv


@pytest.fixture(scope="module")
def curator_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with curator_thread(tmp_path_factory.mktemp("curator")) as url:
        yield url


@pytest.fixture
def curator(curator_url: str) -> Iterator[CuratorClient]:
    with CuratorClient(curator_url, TOKEN) as client:
        yield client


def lines(name: str) -> list[dict[str, object]]:
    """20 questions, asked twice: the even ones fail alike."""
    common = {"retrieval_hit": True, "source": name}
    return [
        {
            "question_id": f"q{n}",
            "question": f"{name}: what is {n}?",
            "answer": f"it is {n}",
            "run_id": run,
            "grade": "correct" if n % 2 else "wrong",
            "failure_label": None if n % 2 else "not_json",
            **common,
        }
        for run in ("a", "b")
        for n in range(20)
    ]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_run_log_to_dataset(curator: CuratorClient, tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    path = write(tmp_path / "log.jsonl", lines("whole"))
    imported = curator.import_run_log(path, "whole", lambda done, total: sent.append((done, total)))
    run_log = imported.manifest
    assert (run_log.accepted, run_log.rejected, imported.already_existed) == (40, 0, False)
    assert sent[-1] == (path.stat().st_size, path.stat().st_size)
    assert curator.import_run_log(path, "whole").already_existed
    assert curator.run_log(run_log.id) == run_log
    assert run_log in curator.run_logs()

    page = curator.run_log_rows(run_log.id, offset=1, limit=2, label="not_json")
    assert page.total == 20
    assert [row.question_id for row in page.rows] == ["q2", "q4"]
    assert page.rows[0].model_extra == {"source": "whole"}

    (cluster,) = curator.diagnosis(run_log.id).clusters
    assert (cluster.label, cluster.size, cluster.candidate) == ("not_json", 20, True)

    items = curator.export_review(run_log.id, ["not_json"])
    assert len(items) == 10
    corrected = [item.model_copy(update={"corrected_output": '{"n": 1}'}) for item in items[:-1]]
    assert curator.import_review(run_log.id, [*corrected, items[-1]]).model_dump() == {
        "accepted": 9,
        "changed": 0,
        "empty": 1,
        "removed": 0,
        "preferred": 0,
        "set_aside": 0,
        "rejected_lines": [],
    }
    assert [item.corrected_output for item in curator.export_review(run_log.id, ["not_json"])].count('{"n": 1}') == 9

    dataset = curator.build_dataset(DatasetSpec(name="whole", run_log_id=run_log.id, labels=["not_json"]))
    assert curator.dataset("whole") == curator.dataset("whole", dataset.version) == dataset
    assert curator.datasets("whole") == [dataset]
    exported = b"".join(curator.export_dataset("whole", dataset.version, "openai-messages"))
    assert len(exported.splitlines()) == dataset.counts.train
    assert "messages" in json.loads(exported.splitlines()[0])
    assert [line.reason for line in curator.left_out("whole")] == ["no correction"]
    files = curator.export_folder("whole", dataset.version, tmp_path / "folder")
    assert [file.name for file in files] == [
        "README.md", "croissant.json", "train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"
    ]  # fmt: skip


def test_two_versions_are_compared_row_by_row(curator: CuratorClient, tmp_path: Path) -> None:
    run_log = curator.import_run_log(write(tmp_path / "log.jsonl", lines("twice")), "twice").manifest
    items = [
        item.model_copy(update={"corrected_output": '{"n": 1}'})
        for item in curator.export_review(run_log.id, ["not_json"])
    ]
    curator.import_review(run_log.id, items)
    spec = DatasetSpec(name="twice", run_log_id=run_log.id, labels=["not_json"])
    before = curator.build_dataset(spec)
    assert diff_datasets(curator, before, before).model_dump(exclude={"a", "b"}) == {
        "added": [], "removed": [], "changed": [], "moved": [], "held_out_added": [], "held_out_removed": [], "spec": {}, "counts": {},
    }  # fmt: skip
    first, second = before.split.train[:2]
    changed = [i.model_copy(update={"corrected_output": '{"n": 2}'}) for i in items if i.question_id == first]
    emptied = [
        i.model_copy(update={"corrected_output": "", "earlier_correction": "x"})
        for i in items
        if i.question_id == second
    ]
    curator.import_review(run_log.id, [*changed, *emptied])
    after = curator.build_dataset(spec.model_copy(update={"anchor_ratio": 0.0}))
    found = diff_datasets(curator, before, after)
    assert found.changed == [first]
    assert {second, *before.split.anchors} <= set(found.removed)
    assert found.spec == {"anchor_ratio": (0.5, 0.0)}
    assert found.counts["rows"]["anchors"] == (before.counts.anchors, 0)
    assert found.counts["left out"]["no correction"] == (0, 1)
    assert set(before.split.held_out) - set(found.held_out_removed) | set(found.held_out_added) == set(
        after.split.held_out
    )
    with pytest.raises(InvalidInputError, match="compare versions of one format"):
        diff_datasets(curator, before, curator.build_dataset(spec.model_copy(update={"format": "dpo"})))


def test_a_spreadsheet_of_preferences_comes_back_and_becomes_pairs(curator: CuratorClient, tmp_path: Path) -> None:
    """Two models answered; a person fills the column `preference` in a table. The table goes in twice and changes nothing the second time."""
    rows = [
        row | {"answer": f"=it is {row['question_id']} ({model})", "model": model, "run_id": model}
        for model in ("one", "two")
        for row in lines("tabled")[:20]
        if row["failure_label"]
    ]
    run_log = curator.import_run_log(write(tmp_path / "log.jsonl", rows), "tabled").manifest
    items = curator.export_review(run_log.id, ["not_json"])
    table = tmp_path / "review.csv"
    prefers_two = {True: "A", False: "b"}
    table.write_bytes(
        to_csv(
            item.model_copy(update={"preference": "tie" if n == 0 else prefers_two[item.answer_a.endswith("(two)")]})
            for n, item in enumerate(items)
        )
    )
    done = curator.import_review(run_log.id, table, "mia")
    assert (done.preferred, done.rejected_lines) == (10, [])
    again = tmp_path / "again.csv"
    again.write_bytes(to_csv(curator.export_review(run_log.id, ["not_json"])))
    assert curator.import_review(run_log.id, again, "tom").rejected_lines == []
    events = list(curator.review_history(run_log.id))
    assert (len(events), {event.author for event in events}) == (10, {"mia"})
    spec = DatasetSpec(name="tabled", run_log_id=run_log.id, labels=["not_json"], format="dpo")
    dataset = curator.build_dataset(spec)
    assert dataset.counts.preferences == dataset.counts.train + dataset.counts.validation
    assert dataset.counts.discarded == {"no preference: a person judged the two answers alike (tie)": 1}
    for line in b"".join(curator.export_dataset("tabled", dataset.version, "rows")).splitlines():
        row = json.loads(line)
        assert (row["source"], row["chosen"][0]["content"][-5:], row["rejected"][0]["content"][-5:]) == (
            "preference",
            "(two)",
            "(one)",
        )


def test_a_review_file_goes_in_as_it_is_and_its_bad_lines_are_named(curator: CuratorClient, tmp_path: Path) -> None:
    run_log = curator.import_run_log(write(tmp_path / "log.jsonl", lines("file")), "file").manifest
    item = curator.export_review(run_log.id, ["not_json"])[0].model_copy(update={"corrected_output": "{}"})
    path = tmp_path / "review.jsonl"
    path.write_text(item.model_dump_json() + "\nnot json\n")
    answer = curator.import_review(run_log.id, path)
    assert answer.accepted == 1
    assert [line.line_number for line in answer.rejected_lines] == [2]


def test_a_gzip_goes_up_as_it_is(curator: CuratorClient, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(write(tmp_path / "log.jsonl", lines("zipped")).read_bytes()))
    assert curator.import_run_log(path, "zipped").manifest.accepted == 40


def test_benchmarks(curator: CuratorClient) -> None:
    question = BenchmarkQuestion(
        question_id="b1", prompt="one and one?", expected_answer="2", grader=GraderSpec(name=sorted(grading.names())[0])
    )
    manifest = curator.import_benchmark([question], "sums")
    assert curator.benchmark("sums") == curator.benchmark("sums", manifest.version) == manifest
    assert curator.benchmarks() == [manifest]
    assert curator.benchmark_questions("sums") == [question]
    with pytest.raises(NotFoundError, match="burnish benchmark ls"):
        curator.benchmark("products")


def test_evals(curator: CuratorClient, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_bytes(b"<html>")
    curator.put_eval_file("e1", "report.html", report)
    entry = FileEntry(path="report.html", size_bytes=6, sha256=sha256_hex(b"<html>"))
    manifest = EvalManifest(
        id="e1", base_model="base", candidate_model="a@1", benchmark="sums/1", verdict="ship", files=[entry]
    )
    assert curator.create_eval(manifest) == manifest
    assert curator.evals() == [curator.eval("e1")]
    assert curator.eval_file("e1", "report.html") == b"<html>"
    with pytest.raises(AlreadyExistsError):
        curator.put_eval_file("e1", "report.html", b"<other>")


def test_errors_come_back_as_the_class_that_was_raised(curator: CuratorClient, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        curator.run_log("0123456789abcdef")
    (tmp_path / "bad.jsonl").write_text("not json\n")
    with pytest.raises(InvalidInputError):
        curator.import_run_log(tmp_path / "bad.jsonl", "bad")
    with pytest.raises(InvalidInputError, match="no such file"):
        curator.import_run_log(tmp_path / "none.jsonl", "none")


def test_a_name_cannot_reach_another_route(curator: CuratorClient) -> None:
    with pytest.raises(NotFoundError):
        curator.run_log("../datasets")
    with pytest.raises(InvalidInputError):
        curator.run_log("..")


def test_a_wrong_token_is_refused(curator_url: str) -> None:
    with CuratorClient(curator_url, "another") as client, pytest.raises(UnauthenticatedError):
        client.run_logs()


class Flaky(BaseHTTPRequestHandler):
    """Answers 503 twice, then well; counts."""

    requests: list[str] = []

    def do_GET(self) -> None:
        self.requests.append("GET")
        self._answer(503 if len(self.requests) < 3 else 200)

    def do_POST(self) -> None:
        self.requests.append("POST")
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(503)

    def _answer(self, status: int) -> None:
        body = b'{"runlogs": []}' if status == 200 else b"busy"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Nothing: a test's output is its own."""


def test_reads_are_tried_again_and_writes_are_not() -> None:
    with HTTPServer(("127.0.0.1", 0), Flaky) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with CuratorClient(f"http://127.0.0.1:{server.server_port}", TOKEN) as client:
            assert client.run_logs() == []
            assert Flaky.requests == ["GET"] * 3
            with pytest.raises(UnavailableError, match="503"):
                client.import_review("x", [])
            assert Flaky.requests.count("POST") == 1
        server.shutdown()
