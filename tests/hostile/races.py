"""Part 2: eight callers who import, read, correct, build and remove the same few things at the same time. Nothing is a defect or half there."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
from hostile.figures import Figure, counted
from hostile.stack import LogWatch, Stack
from runlog_making import jsonl, repeated_failures

CALLERS = 8
SERVER_ERROR = 500
QUESTION = jsonl([{"question_id": "q", "prompt": "?", "expected_answer": "a", "grader": {"name": "exact"}}])
BODIES = [jsonl(repeated_failures({"not-json": 6 + number}, passing_questions=8)) for number in range(3)]
REVIEW = {"question": "?", "original_answer": "wrong answer", "failure_label": "not-json"}


class Caller:
    """One of them: what it does next is drawn from all its methods that begin with `_do`."""

    def __init__(self, http: httpx.Client, run_log_ids: list[str], seed: int) -> None:
        self._http = http
        self._ids = run_log_ids
        self._dice = random.Random(seed)
        self._actions = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("_do_")]

    def act(self) -> httpx.Response:
        action: Callable[[int], httpx.Response] = self._dice.choice(self._actions)
        return action(self._dice.randrange(len(self._ids)))

    def _do_import(self, which: int) -> httpx.Response:
        return self._http.post("/v1/runlogs", params={"name": "raced"}, content=BODIES[which])

    def _do_read(self, which: int) -> httpx.Response:
        path = self._dice.choice(("", "/rows", "/diagnosis", "/review", "/rejected"))
        return self._http.get(f"/v1/runlogs/{self._ids[which]}{path}")

    def _do_list(self, which: int) -> httpx.Response:
        return self._http.get(self._dice.choice(("/v1/runlogs", "/v1/datasets", "/v1/benchmarks", "/v1/evals")))

    def _do_correct(self, which: int) -> httpx.Response:
        text = f"{{}}{self._dice.randrange(5)}"
        items = [REVIEW | {"question_id": f"not-json-{number:03d}", "corrected_output": text} for number in range(6)]
        return self._http.post(f"/v1/runlogs/{self._ids[which]}/review", content=jsonl(items))

    def _do_build(self, which: int) -> httpx.Response:
        spec = {"name": f"raced-{which}", "run_log_id": self._ids[which], "labels": ["not-json"]}
        return self._http.post("/v1/datasets", json=spec)

    def _do_benchmark(self, which: int) -> httpx.Response:
        return self._http.post("/v1/benchmarks", params={"name": f"raced-{which}"}, content=QUESTION)

    def _do_remove(self, which: int) -> httpx.Response:
        return self._http.delete(f"/v1/runlogs/{self._ids[which]}{self._dice.choice(('', '/review'))}")

    def _do_remove_version(self, which: int) -> httpx.Response:
        kind = self._dice.choice(("datasets", "benchmarks"))
        listed = self._http.get(f"/v1/{kind}")
        versions = [one["version"] for one in listed.json().get(kind, []) if one["name"] == f"raced-{which}"]
        return self._http.delete(f"/v1/{kind}/raced-{which}/{self._dice.choice(versions)}") if versions else listed


def run(stack: Stack, seconds: float, seed: int) -> list[Figure]:
    logs, ends = LogWatch(stack), time.monotonic() + seconds
    statuses: Counter[int] = Counter()
    defects: list[str] = []
    with stack.http("curator") as http:
        imported = [http.post("/v1/runlogs", params={"name": "raced"}, content=body).json() for body in BODIES]
        ids = [one["manifest"]["id"] for one in imported]

        def call(number: int) -> None:
            caller = Caller(http, ids, seed * CALLERS + number)
            while time.monotonic() < ends:
                answer = caller.act()
                statuses[answer.status_code] += 1
                if answer.status_code >= SERVER_ERROR:
                    defects.append(f"{answer.request.method} {answer.request.url.path}: {answer.text[:300]}")

        threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torn = _torn(http)
    return [
        Figure("races", "calls", statuses.total(), examples=[str(dict(statuses))]),
        counted("races", "500s", defects),
        counted("races", "things that are half there", torn),
        counted("races", "tracebacks in logs", logs.tracebacks()),
    ]


def _torn(http: httpx.Client) -> list[str]:
    """What is listed and cannot be read whole."""
    paths = [f"/v1/runlogs/{one['id']}/rows" for one in http.get("/v1/runlogs").json()["runlogs"]]
    for one in http.get("/v1/datasets").json()["datasets"]:
        paths.append(f"/v1/datasets/{one['name']}/{one['version']}/export?form=rows")
    for one in http.get("/v1/benchmarks").json()["benchmarks"]:
        paths.append(f"/v1/benchmarks/{one['name']}/{one['version']}/questions")
    broken = [str(http.get(f"/v1/{kind}").json()["broken"]) for kind in ("runlogs", "datasets", "benchmarks")]
    answers = {path: http.get(path) for path in paths}
    return [text for text in broken if text != "[]"] + [
        f"{path}: {answer.text[:200]}" for path, answer in answers.items() if answer.status_code != httpx.codes.OK
    ]
