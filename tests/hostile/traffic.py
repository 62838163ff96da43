"""Work in flight while processes are killed: imports, corrections, evaluations, training jobs and chats, and a ledger of what was accepted.

Whoever sends something sends it again, as it was, until it is accepted: that is what a client does that was given no answer.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import httpx
from hostile.compose import ComposeStack
from hostile.stack import Stack
from runlog_making import jsonl, run
from unit.trainer.made import put_dataset, sft_rows

from burnish.errors import BurnishError
from burnish.schemas.training.job_state import JobState
from burnish_client.evaluation.comparison import evaluate
from burnish_client.evaluation.output import store
from burnish_client.evaluation.request import Endpoint, EvalInputs, EvalRequest, Sampling, read_benchmark
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import job_state
from burnish_protos.trainer.v1 import trainer_pb2 as pb

QUESTIONS = 20_000  # three of them are corrected at a time
LABEL = {"round": "hostile"}
ASK_AGAIN_SECONDS = 0.3
STEPS = 2
UNFINISHED_JOBS = 2
EVAL_QUESTIONS = 4


@dataclass
class Ledger:
    """What was accepted, by what finds it again; and every answer that should not have been given, in words."""

    imports: dict[str, int] = field(default_factory=dict)  # name -> lines
    reviews: dict[str, str] = field(default_factory=dict)  # question id -> correction
    jobs: dict[str, str] = field(default_factory=dict)  # request id -> job id
    paused: dict[str, str] = field(default_factory=dict)  # the same, of jobs that were paused afterwards
    evals: dict[str, str] = field(default_factory=dict)  # benchmark -> eval id
    chats: int = 0
    defects: list[str] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)  # of each kind: how often it was sent again


class Traffic:
    """Threads that work until `end`. Each kind of work has a thread, and the chat two."""

    def __init__(self, stack: Stack | ComposeStack, seed: int) -> None:
        self.ledger = Ledger()
        self._stack = stack
        self._seed = seed
        self._ended = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="burnish-hostile-evals-")
        self._base_model = stack.base_model()
        self._dataset = put_dataset(stack.store(), sft_rows(6), sft_rows(2, "v"), name="hostile")
        self.run_log_id = self._import_questions()
        works = (self._import, self._review, self._train, self._park, self._chat, self._chat, self._evaluate)
        self._threads = [
            threading.Thread(target=self._repeat, args=(work, number), daemon=True) for number, work in enumerate(works)
        ]
        for thread in self._threads:
            thread.start()

    def end(self, limit_seconds: float = 90) -> None:
        """What was begun may still be accepted meanwhile."""
        self._ended.set()
        deadline = time.monotonic() + limit_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _import_questions(self) -> str:
        lines = [run(f"q{number}", run_id=f"r{again}") for number in range(QUESTIONS) for again in range(2)]
        with self._stack.http("curator") as http:
            done = http.post("/v1/runlogs", params={"name": "corrected"}, content=jsonl(lines)).raise_for_status()
        return str(done.json()["manifest"]["id"])

    def _repeat(self, work: Callable[[int, random.Random], None], number: int) -> None:
        dice = random.Random(self._seed * 100 + number)
        for count in itertools.count():
            if self._ended.is_set():
                return
            work(count, dice)
            self._ended.wait(dice.uniform(0, 0.4))

    def _until_accepted(self, kind: str, once: Callable[[], bool]) -> bool:
        """False if the traffic ended before it was accepted: then nobody knows whether it was."""
        while True:
            try:
                if once():
                    return True
            except (httpx.TransportError, BurnishError, OSError, ValueError) as error:
                if isinstance(error, BurnishError) and error.code.http_status < 503:
                    self.ledger.defects.append(f"{kind}: {error.reason}: {error.message}"[:400])
            self.ledger.unanswered[kind] += 1
            if self._ended.wait(ASK_AGAIN_SECONDS):
                return False

    def _http(self, kind: str, service: str, send: Callable[[httpx.Client], httpx.Response]) -> httpx.Response | None:
        """The answer if it is 200; None if it says to come back. Any other answer is a defect."""
        with self._stack.http(service, timeout_seconds=20) as http:
            answer = send(http)
        if answer.status_code not in (200, 503):
            self.ledger.defects.append(f"{kind}: {answer.status_code} {answer.text[:300]}")
        return answer if answer.status_code == 200 else None

    def _import(self, count: int, dice: random.Random) -> None:
        name, lines = f"import-{count}", dice.randint(1, 400)
        body = jsonl(run(f"{name}-{number}") for number in range(lines))

        def once() -> bool:
            answer = self._http(
                "import", "curator", lambda http: http.post("/v1/runlogs", params={"name": name}, content=body)
            )
            return answer is not None and answer.json()["manifest"]["accepted"] == lines

        if self._until_accepted("import", once):
            self.ledger.imports[name] = lines

    def _review(self, count: int, dice: random.Random) -> None:
        """Each question is corrected once, a few in one file."""
        texts = {f"q{number}": f"correction {count} of q{number}" for number in range(3 * count, 3 * count + 3)}
        items = [
            {"question_id": question_id, "question": f"What is {question_id}?", "original_answer": "wrong answer",
             "failure_label": "not-json", "corrected_output": text}
            for question_id, text in texts.items()
        ]  # fmt: skip
        path, body = f"/v1/runlogs/{self.run_log_id}/review", jsonl(items)

        def once() -> bool:
            answer = self._http("review", "curator", lambda http: http.post(path, content=body))
            return answer is not None and answer.json()["accepted"] == len(items)

        if self._until_accepted("review", once):
            self.ledger.reviews |= texts

    def _train(self, count: int, dice: random.Random) -> None:
        """A job that trains, while no more than a few are under way; each of an adapter and a seed of its own."""
        if len(self.unfinished()) < UNFINISHED_JOBS:
            self._create(f"train-{count}", count)
        else:
            self._ended.wait(1)

    def _park(self, count: int, dice: random.Random) -> None:
        """A job that is paused as soon as it is accepted, and must be found so."""
        request_id = f"park-{count}"
        if self._create(request_id, count):
            job_id = self.ledger.jobs[request_id]

            def once() -> bool:
                with self._stack.trainer() as trainer:
                    trainer.pause_job(job_id)
                return True

            if self._until_accepted("pause", once):
                self.ledger.paused[request_id] = job_id
        self._ended.wait(2)

    def _create(self, request_id: str, seed: int) -> bool:
        optimizer = pb.OptimizerParams(max_steps=STEPS, batch_size=2, evaluation_interval_steps=1)
        reference = pb.DatasetRef(name=self._dataset.name, version=self._dataset.version)
        spec = pb.TuningSpec(
            dataset=reference, adapter_name=request_id, seed=seed, sft=pb.SftParams(), lora=pb.LoraParams(rank=4), optimizer=optimizer
        )  # fmt: skip

        def once() -> bool:
            with self._stack.trainer() as trainer:
                self.ledger.jobs[request_id] = trainer.create_job(spec, request_id, labels=LABEL).job_id
            return True

        return self._until_accepted("job", once)

    def unfinished(self) -> list[str]:
        """Accepted jobs that train and have not ended, as far as the trainer can be asked."""
        wanted = [request_id for request_id in self.ledger.jobs if request_id.startswith("train-")]
        try:
            with self._stack.trainer() as trainer:
                return [one for one in wanted if not job_state(trainer.get_job(self.ledger.jobs[one]).state).ended]
        except BurnishError:
            return wanted

    def _chat(self, count: int, dice: random.Random) -> None:
        """An answer is whole or none: a 200 without its text is a defect."""
        asked = {"messages": [{"role": "user", "content": f"Count to {count}."}], "max_tokens": dice.choice((1, 4, 16))}

        def once() -> bool:
            body = asked | {"model": self._base_model}
            answer = self._http("chat", "inference", lambda http: http.post("/v1/chat/completions", json=body))
            if answer is None:
                return False
            try:
                whole = isinstance(answer.json()["choices"][0]["message"]["content"], str)
            except (ValueError, KeyError, IndexError):
                whole = False
            if not whole:
                self.ledger.defects.append(f"chat: 200 without an answer: {answer.text[:300]}")
            return True

        self.ledger.chats += self._until_accepted("chat", once)

    def _evaluate(self, count: int, dice: random.Random) -> None:
        """The base against itself on a benchmark of its own, as `burnish eval` does it; an interrupted one goes on in its folder."""
        folder = Path(self._folder.name) / f"eval-{count}"
        folder.mkdir()
        file = folder / f"eval-{count}.jsonl"
        file.write_bytes(
            jsonl(_question(f"e{count}-{number}", count * EVAL_QUESTIONS + number) for number in range(EVAL_QUESTIONS))
        )
        endpoint = Endpoint(self._stack.url("inference"), self._stack.token, timeout_seconds=30, attempts=2)

        def once() -> bool:
            with self._stack.curator() as curator:
                manifest, questions = read_benchmark(file, curator)
                request = EvalRequest(
                    benchmark=f"{manifest.name}/{manifest.version}", endpoint=endpoint, base_model=self._base_model,
                    candidate_model=self._base_model, base_samples=1, concurrency=2, sampling=Sampling(max_tokens=4),
                )  # fmt: skip
                done = asyncio.run(evaluate(request, EvalInputs(questions), out=folder / "out"))
                if any(row.error for row in (*done.base_rows, *done.candidate_rows)):
                    return False
                store(curator, done.manifest, done.folder)
                self.ledger.evals[request.benchmark] = done.manifest.id
            return True

        self._until_accepted("evaluation", once)


def _question(question_id: str, number: int) -> dict[str, object]:
    grader = {"name": "contains"}
    return {
        "question_id": question_id,
        "prompt": f"Say {number}.",
        "expected_answer": "1",
        "grader": grader,
        "extra": {"targeted": True},
    }


@dataclass
class Audit:
    """lost: accepted and not found again as it was; doubled: found more than once."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


def audit(stack: Stack | ComposeStack, traffic: Traffic) -> Audit:
    """Everything that was accepted, looked for. The stack is healthy, and the jobs that train have had their time."""
    found, ledger = Audit(), traffic.ledger
    with stack.curator() as curator:
        logs = [log for log in curator.run_logs() if log.name.startswith("import-")]
        _compare("import", Counter(log.name for log in logs), ledger.imports, found)
        for log in logs:
            if log.name in ledger.imports and curator.run_log_rows(log.id, limit=0).total != ledger.imports[log.name]:
                found.lost.append(f"import {log.name}: its rows are not those that were sent")
        items = [item for item in curator.export_review(traffic.run_log_id, ["not-json"]) if item.corrected_output]
        _compare("review", Counter(item.question_id for item in items), ledger.reviews, found)
        texts = {item.question_id: item.corrected_output for item in items}
        found.lost += [
            f"review {one}: {texts.get(one)!r}" for one, text in ledger.reviews.items() if texts.get(one) != text
        ]
        _find_evals(curator, ledger, found)
    with stack.trainer() as trainer:
        jobs = trainer.list_jobs(labels=LABEL)
    _compare("job", Counter(job.request_id for job in jobs), ledger.jobs, found)
    for job in jobs:
        state, wanted = job_state(job.state), JobState.PAUSED if job.request_id in ledger.paused else JobState.SUCCEEDED
        if ledger.jobs.get(job.request_id) not in (None, job.job_id):
            found.doubled.append(f"job {job.request_id} is {job.job_id}, and was answered as another")
        if (
            job.request_id in ledger.jobs
            and (job.request_id.startswith("train-") or job.request_id in ledger.paused)
            and state is not wanted
        ):
            found.lost.append(f"job {job.request_id} {job.job_id} is {state}: {job.error.message}")
        if state is JobState.SUCCEEDED:
            _find_adapter(stack, job, found)
    return found


def _find_evals(curator: CuratorClient, ledger: Ledger, found: Audit) -> None:
    """Each is stored once, with every file as its manifest has it, and has one answer of each side to each question."""
    evals = [one for one in curator.evals() if one.benchmark.startswith("eval-")]
    _compare("evaluation", Counter(one.benchmark for one in evals), ledger.evals, found)
    for one in evals:
        contents = {entry.path: curator.eval_file(one.id, entry.path) for entry in one.files}
        if any(sha256(contents[entry.path]).hexdigest() != entry.sha256 for entry in one.files):
            found.lost.append(f"evaluation {one.benchmark}: a file is not what its manifest says")
        for side in ("base.jsonl", "candidate.jsonl"):
            answered = Counter(json.loads(line)["question_id"] for line in contents[side].splitlines())
            found.doubled += [
                f"evaluation {one.benchmark}: {side} has {each}" for each in answered.items() if each[1] > 1
            ]
            if len(answered) != EVAL_QUESTIONS:
                found.lost.append(f"evaluation {one.benchmark}: {side} has {len(answered)} of {EVAL_QUESTIONS} answers")


def _find_adapter(stack: Stack | ComposeStack, job: pb.TuningJob, found: Audit) -> None:
    versions = list(stack.store().list_folders(f"adapters/{job.adapter.name}/"))
    if job.adapter.version not in versions:
        found.lost.append(f"job {job.request_id}: its adapter {job.adapter.version} is not there")
    if len(versions) > 1:
        found.doubled.append(f"job {job.request_id}: adapters {versions}")


def _compare(
    kind: str, counts: Counter[str], accepted: dict[str, object] | dict[str, int] | dict[str, str], found: Audit
) -> None:
    found.lost += [f"{kind} {one} was accepted and is not there" for one in accepted if not counts[one]]
    found.doubled += [f"{kind} {one} is there {count} times" for one, count in counts.items() if count > 1]
