"""One thing of each kind that a curator keeps, made as clients make it: a hostile call to an id that does not exist is a 404 and no more."""

from __future__ import annotations

from typing import Any

import httpx
from runlog_making import jsonl, repeated_failures, run


def made_for_real(http: httpx.Client) -> dict[str, str]:
    """Ids and names by what a path calls them: `datasets.version` is the version in a dataset's path.

    clustered_id: a run log of its own, since a clustering takes the place of failure labels.
    """
    failing = [*repeated_failures({"not-json": 4}, passing_questions=8), run("gone", user_id="somebody")]
    log = _imported(http, failing)
    clustered = [run(f"u{n}", failure_label=None, answer=f"Please call our hotline, number {n}.") for n in range(12)]
    clustered_id = _imported(http, clustered)
    items = [
        {"question_id": f"not-json-00{number}", "question": "x", "original_answer": "wrong answer",
         "failure_label": "not-json", "corrected_output": f"right {number}"}
        for number in range(4)
    ]  # fmt: skip
    _sent(http, "POST", f"/v1/runlogs/{log}/review", content=jsonl(items))
    dataset = {"name": "real", "run_log_id": log, "labels": ["not-json"]}
    grader = {"name": "contains"}
    question = {"question_id": "b1", "prompt": "Say 1.", "expected_answer": "1", "grader": grader}
    clustering = _sent(http, "POST", f"/v1/runlogs/{clustered_id}/clusterings", json={})
    benchmark = _sent(http, "POST", "/v1/benchmarks", params={"name": "real"}, content=jsonl([question]))
    http.put(
        "/v1/evals/real/base.jsonl", content=b"{}\n"
    )  # refused if this eval is sealed already, as in a second round
    erased = _sent(http, "POST", "/v1/erasures", json={"user": "somebody"})
    return {
        "run_log_id": log,
        "clustered_id": clustered_id,
        "clusterings.version": clustering["version"],
        "datasets.name": "real",
        "datasets.version": _sent(http, "POST", "/v1/datasets", json=dataset)["version"],
        "benchmarks.name": "real",
        "benchmarks.version": benchmark["version"],
        "eval_id": "real",
        "evals.file": "base.jsonl",
        "erasure_id": erased["id"],
    }


def _imported(http: httpx.Client, lines: list[dict[str, Any]]) -> str:
    done = _sent(http, "POST", "/v1/runlogs", params={"name": "real"}, content=jsonl(lines))
    return str(done["manifest"]["id"])


def _sent(http: httpx.Client, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = http.request(method, path, **more)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    found: dict[str, Any] = answer.json()
    return found
