"""Questions per second of the eval client, beside the endpoint's own best and beside a plain transformers loop: `make bench-eval`.

Real questions about functions of the standard library, greedy, each with its own token budget, SmolLM2-135M in bf16 where the processor has it, else fp32. The
endpoint is the inference server with vLLM behind it. Every pass puts its own number at the start of each prompt, so that no pass
finds another's prefixes cached. (a) transformers `generate`, one question at a time, in a process of its own, vLLM idle;
(b) a bare load generator, first over all concurrencies, then again at the two best; (c) `ask_sides` with log and progress.
(a), (b) and (c) take turns; medians. Exit 1 where (c) is below 0.9 of (b) or 4 times (a).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))
from inference_server import TOKEN, InferenceServer, started

from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.testing import running_seaweed
from burnish_client.demo.stdlib_benchmark import generate
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.request import Endpoint, Sampling

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = Path(os.environ.get("BURNISH_BASE_MODEL", REPOSITORY / ".cache/models/smollm2-135m-instruct")).resolve()
BAR_OF_BEST, BAR_OF_LOOP = 0.9, 4.0
FINALISTS = 2
BUCKET = "bench-eval"


@dataclass(frozen=True)
class Pass:
    """One measured pass over some questions."""

    questions: int
    seconds: float
    tokens: int

    @property
    def questions_per_second(self) -> float:
        return self.questions / self.seconds

    def line(self, name: str) -> str:
        return (
            f"{name:28s} {self.questions:4d} questions {self.seconds:7.1f} s  {self.questions_per_second:6.2f} questions/s "
            f"{self.tokens / self.seconds:7.1f} tokens/s  {self.tokens / self.questions:5.1f} tokens an answer"
        )


class Questions:
    """The same questions for every pass, each time with another number at the start of the prompt."""

    def __init__(self, size: int) -> None:
        self._questions = generate(seed=1, size=size)
        self._passes = count(1)

    def next(self, size: int | None = None) -> list[BenchmarkQuestion]:
        number = next(self._passes)
        return [self._numbered(question, number) for question in self._questions[:size]]

    @staticmethod
    def _numbered(question: BenchmarkQuestion, number: int) -> BenchmarkQuestion:
        system, *rest = question.prompt_messages()
        first = Message(role="system", content=f"Session {number}. {system.content}")
        return question.model_copy(update={"messages": [first, *rest]})


def ask_with_transformers(lines: Iterator[str]) -> None:
    """The loop that most people write first. A line in is a list of questions, a line out the seconds and tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from burnish_trainer.worker import torch_device

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    dtype = getattr(torch, torch_device.dtype("cpu"))  # the endpoint's: its `auto` goes by the same rule
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=dtype).eval()
    print("ready", flush=True)
    for line in lines:
        questions = [BenchmarkQuestion.model_validate(item) for item in json.loads(line)]
        started_at, tokens = time.perf_counter(), 0
        for question in questions:
            messages = [message.model_dump() for message in question.prompt_messages()]
            prompt = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            with torch.inference_mode():
                output = model.generate(**prompt, max_new_tokens=question.max_tokens, do_sample=False)
            answer = output[0, prompt["input_ids"].shape[1] :]
            tokenizer.decode(answer, skip_special_tokens=True)
            tokens += len(answer)
        print(json.dumps([time.perf_counter() - started_at, tokens]), flush=True)


@contextmanager
def transformers_loop() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--transformers-loop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("the transformers loop did not start")
        yield process
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        process.wait(timeout=60)


def measure_loop(process: subprocess.Popen[str], questions: Sequence[BenchmarkQuestion]) -> Pass:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([question.model_dump(mode="json") for question in questions]) + "\n")
    process.stdin.flush()
    seconds, tokens = json.loads(process.stdout.readline())
    return Pass(len(questions), seconds, tokens)


async def measure_bare(url: str, model: str, questions: Sequence[BenchmarkQuestion], concurrency: int) -> Pass:
    """Requests as fast as they are answered, `concurrency` at a time, and nothing else."""
    left = iter([_body(model, question) for question in questions])
    tokens = 0
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300, limits=limits, trust_env=False) as http:

        async def ask() -> None:
            nonlocal tokens
            for body in left:
                response = await http.post("/v1/chat/completions", json=body)
                response.raise_for_status()
                tokens += response.json()["usage"]["completion_tokens"]

        started_at = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(concurrency)))
        return Pass(len(questions), time.perf_counter() - started_at, tokens)


def _body(model: str, question: BenchmarkQuestion) -> dict[str, Any]:
    messages = [message.model_dump() for message in question.prompt_messages()]
    return {
        "model": model,
        "messages": messages,
        "max_tokens": question.max_tokens,
        "temperature": 0.0,
        "seed": 0,
    }


async def measure_ours(url: str, model: str, questions: Sequence[BenchmarkQuestion]) -> Pass:
    """As `burnish eval` asks: adaptive concurrency, a line in the log and a report of progress for every answer."""
    with tempfile.TemporaryDirectory() as folder:
        side = Side(Endpoint(url, TOKEN), model, Path(folder) / "answers.jsonl")
        reports: list[float | None] = []
        started_at = time.perf_counter()
        (answers,) = await ask_sides(
            [side], questions, sampling=Sampling(), progress=lambda progress: reports.append(progress.seconds_left)
        )
        seconds = time.perf_counter() - started_at
    failed = [answer.error for answer in answers if answer.error]
    if failed or len(reports) != len(questions) + 1:
        raise SystemExit(f"{len(failed)} questions failed, {failed[:1]}; {len(reports)} reports")
    return Pass(len(questions), seconds, sum(answer.completion_tokens or 0 for answer in answers))


@contextmanager
def endpoint() -> Iterator[InferenceServer]:
    """The inference server, as the stack runs it, ready."""
    with tempfile.TemporaryDirectory() as folder, running_seaweed(Path(folder) / "seaweed") as store:
        store.store(BUCKET).ensure_bucket()
        settings = {
            "BURNISH_S3_ENDPOINT": store.endpoint,
            "BURNISH_S3_ACCESS_KEY": store.access_key,
            "BURNISH_S3_SECRET_KEY": store.secret_key,
            "BURNISH_S3_BUCKET": BUCKET,
            "BURNISH_INFERENCE_BASE_MODEL": str(BASE),
        }
        with started(Path(folder), settings) as server:
            server.wait_ready()
            yield server


def measure(given: argparse.Namespace) -> bool:
    questions = Questions(given.questions)
    with endpoint() as server, transformers_loop() as loop:
        url = f"http://127.0.0.1:{server.port}"
        model = server.http.get("/v1/models").json()["data"][0]["id"]
        asyncio.run(measure_bare(url, model, questions.next(16), 16))  # both warm
        measure_loop(loop, questions.next(2))
        bests = sweep(url, model, questions, given.concurrency)
        passes: dict[str, list[Pass]] = defaultdict(list)

        def keep(name: str, done: Pass) -> None:
            passes[name].append(done)
            print(done.line(name), flush=True)

        for turn in range(given.repeats):
            print(f"turn {turn + 1}:")
            keep("transformers loop", measure_loop(loop, questions.next(given.loop_questions)))
            for concurrency in bests:
                bare = asyncio.run(measure_bare(url, model, questions.next(), concurrency))
                keep(f"bare, concurrency {concurrency}", bare)
            keep("burnish eval client", asyncio.run(measure_ours(url, model, questions.next())))
    return judge(passes)


def sweep(url: str, model: str, questions: Questions, concurrencies: Sequence[int]) -> list[int]:
    """One pass at each concurrency; the two fastest. At low ones a part of the questions is enough to see that."""
    print("sweep, one pass each:", flush=True)
    rates = {}
    for concurrency in concurrencies:
        size = max(16, 8 * concurrency)
        found = asyncio.run(measure_bare(url, model, questions.next(size), concurrency))
        rates[concurrency] = found.questions_per_second
        print(found.line(f"bare, concurrency {concurrency}"), flush=True)
    return sorted(sorted(rates, key=lambda c: rates[c])[-FINALISTS:])


def judge(passes: dict[str, list[Pass]]) -> bool:
    print(f"\nmedians of {len(passes['burnish eval client'])} passes, in turns:")
    medians = {}
    for name, done in passes.items():
        rates = sorted(one.questions_per_second for one in done)
        medians[name] = statistics.median(rates)
        middle = min(done, key=lambda one: abs(one.questions_per_second - medians[name]))
        print(middle.line(name) + f"  ({rates[0]:.2f} to {rates[-1]:.2f})")
    ours, loop = medians["burnish eval client"], medians["transformers loop"]
    best = max(rate for name, rate in medians.items() if name.startswith("bare"))
    verdicts = [
        (f"of the endpoint's own best ({best:.2f} questions/s)", ours / best, BAR_OF_BEST),
        (f"times the transformers loop ({loop:.2f} questions/s)", ours / loop, BAR_OF_LOOP),
    ]
    for what, ratio, bar in verdicts:
        print(f"{'PASS' if ratio >= bar else 'FAIL'}: {ratio:.2f} {what}, bar {bar:g}")
    return all(ratio >= bar for _, ratio, bar in verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=192, help="of a pass")
    parser.add_argument("--loop-questions", type=int, default=12, help="of a pass of the transformers loop")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64, 128])
    parser.add_argument("--transformers-loop", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.transformers_loop:
        return ask_with_transformers(iter(sys.stdin))
    return None if measure(given) else sys.exit(1)


if __name__ == "__main__":
    main()
