"""A whole loop in a bucket, through the curator's own calls: run log, review, dataset, adapter, evals, benchmark.

Each question of `LINES` was asked by one user, twice; `ANNA`'s texts stand in nothing that belongs to another user.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_making import adapter_files, make_manifest, publish

from burnish.digests import sha256_hex
from burnish.ports import ObjectStore
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetManifest, DatasetSpec
from burnish.schemas.evaluation import EvalManifest, EvalRow
from burnish.schemas.models import BaseModelRecord
from burnish.schemas.runlog import RunLogManifest
from burnish_client.sdk.curator import CuratorClient

ANNA, BEN = "anna@example.org", "user-ben"
BASE = BaseModelRecord(name="tiny", digest="sha256:0", source="test", licence="none")


def asked(number: int) -> str:
    return f"Please change the shipping address of order {number:04d} to {number} Larch Lane, Aberfoyle"


def answered(number: int) -> str:
    return f'I sent order {number:04d} to the old flat, "as it was" — sorry'


def corrected(number: int) -> str:
    return f"Order {number:04d} now goes to {number} Larch Lane"


def line(number: int, run: str) -> dict[str, Any]:
    """Numbers from 0: those below 12 fail; every fourth question is Anna's."""
    fails = number < 12
    return {
        "question_id": f"q{number}",
        "question": asked(number),
        "system_prompt": "You help customers of a shop for outdoor clothes, kindly and in one sentence.",
        "answer": answered(number) if fails else f"Order {number:04d} is on its way to Larch Lane",
        "grade": "wrong" if fails else "correct",
        "failure_label": "old-address" if fails else None,
        "run_id": run,
        "user_id": ANNA if number % 4 == 0 else BEN,
        "trace_id": f"trace-{run}-{number}",
    }


LINES = [line(number, run) for run in ("a", "b") for number in range(24)]


@dataclass(frozen=True)
class Made:
    """What is in the bucket."""

    run_log: RunLogManifest
    graded: RunLogManifest
    dataset: DatasetManifest
    adapter: AdapterManifest
    eval_id: str


def make(store: ObjectStore, curator: CuratorClient, folder: Path) -> Made:
    """Lines 1 to 48 are good; line 49 is rejected, and shows Anna's id and text."""
    bad = {"question_id": "q99", "user_id": ANNA, "question": asked(99), "grade": "wrong"}  # without an answer
    file = folder / "runs.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in [*LINES, bad]))
    run_log = curator.import_run_log(file, "shop").manifest
    graded_file = folder / "graded.jsonl"
    graded_file.write_text("".join(json.dumps(one | {"graded": "again"}) + "\n" for one in LINES))
    graded = curator.import_run_log(graded_file, "shop-graded", parent=run_log.id).manifest
    items = curator.export_review(run_log.id)
    curator.import_review(
        run_log.id,
        [item.model_copy(update={"corrected_output": corrected(int(item.question_id[1:]))}) for item in items],
    )
    dataset = curator.build_dataset(DatasetSpec(name="addresses", run_log_id=run_log.id, labels=["old-address"]))
    adapter = _adapter(store, dataset)
    return Made(run_log, graded, dataset, adapter, _eval(curator, run_log, dataset, adapter))


def _adapter(store: ObjectStore, dataset: DatasetManifest) -> AdapterManifest:
    parents = [
        Parent(kind="dataset", name=dataset.name, digest=dataset.version),
        Parent(kind="base_model", name=BASE.name, digest=BASE.digest),
        Parent(kind="job", name="job-1", digest="job-1"),
    ]
    files = adapter_files(4)
    return publish(store, make_manifest("addresses-fixed", files, BASE, 4, parents=parents), files)


def _eval(curator: CuratorClient, run_log: RunLogManifest, dataset: DatasetManifest, adapter: AdapterManifest) -> str:
    """Both sides answered every question; the answers are texts of their own, and the base's are the run log's."""
    questions = [
        BenchmarkQuestion(
            question_id=f"q{n}", prompt=f"Case {n}", expected_answer="yes", grader=GraderSpec(name="exact")
        )
        for n in range(24)
    ]
    benchmark = curator.import_benchmark(questions, "cases")
    rows = [
        EvalRow(question_id=f"q{n}", targeted=n < 12, held_out=True, passed=n >= 12, answer=answered(n))
        for n in range(24)
    ]
    new = [row.model_copy(update={"answer": f"The parcel of Larch Lane {row.question_id} is rerouted"}) for row in rows]
    files = {
        "base.jsonl": "".join(row.model_dump_json() + "\n" for row in rows),
        "candidate.jsonl": "".join(row.model_dump_json() + "\n" for row in new),
        "verdict.json": json.dumps(
            {"verdict": "ship", "regressions": [{"question_id": "q0", "base_answer": answered(0)}]}
        ),
        "report.html": f"<p>{answered(4).replace(chr(34), '&#34;')}</p><p>The parcel of Larch Lane q4 is rerouted</p><p>{answered(1)}</p>",
    }
    for name, text in files.items():
        curator.put_eval_file("e1", name, text.encode())
    entries = [
        FileEntry(path=name, size_bytes=len(text.encode()), sha256=sha256_hex(text.encode()))
        for name, text in files.items()
    ]
    parents = [
        Parent(kind="benchmark", name="cases", digest=benchmark.version),
        Parent(kind="dataset", name=dataset.name, digest=dataset.version),
        Parent(kind="runlog", name=run_log.id, digest=run_log.id),
        Parent(kind="adapter", name=adapter.name, digest=adapter.version),
    ]
    curator.create_eval(
        EvalManifest(
            id="e1",
            base_model="tiny",
            candidate_model=f"{adapter.name}@{adapter.version}",
            benchmark=f"cases/{benchmark.version}",
            dataset=f"{dataset.name}/{dataset.version}",
            verdict="ship",
            files=entries,
            parents=parents,
        )
    )
    return "e1"
