"""Asking questions of one or two models at once: interleaved, concurrent, resumable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.evaluation.answers import Answer, AnswerKey, AnswerLog
from burnish_client.evaluation.chat import ChatClient, Endpoint, Sampling, prompt_digest, sampling_digest


@dataclass(frozen=True)
class Progress:
    """done of total answers (those found in the log count as done); seconds_left is None until one has been asked."""

    done: int
    total: int
    errors: int
    seconds_left: float | None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Wording:
    """A question put in another way: the messages that are sent, and request parameters on top of the sampling's."""

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One model to ask, how often, and the log its answers go to. known: answers that need not be asked (a run log's).

    wordings: question_id -> how this side puts it (a control arm's); a question without one is asked as it stands.
    """

    endpoint: Endpoint
    model: str
    out: Path
    samples: int = 1
    known: tuple[Answer, ...] = ()
    wordings: Mapping[str, Wording] = field(default_factory=dict)

    def request(
        self, question: BenchmarkQuestion, sampling: Sampling, sample: int
    ) -> tuple[list[Message], dict[str, Any]]:
        """Messages and request parameters of one asking."""
        wording = self.wordings.get(question.question_id)
        parameters = sampling.body(sample, question.max_tokens)
        if wording is None:
            return question.prompt_messages(), parameters
        return list(wording.messages), {**parameters, **wording.parameters}


@dataclass(frozen=True)
class _Job:
    side: int
    question: BenchmarkQuestion
    sample: int
    key: AnswerKey


async def ask(
    endpoint: Endpoint,
    model: str,
    questions: Sequence[BenchmarkQuestion],
    *,
    out: Path,
    samples: int = 1,
    concurrency: int = 16,
    max_tokens: int = 256,
    temperature: float = 0.0,
    seed: int | None = 0,
    progress: ProgressCallback | None = None,
) -> list[Answer]:
    """Ask one model every question `samples` times; the answers in order of question, then sample. See `ask_sides`."""
    side = Side(endpoint, model, out, samples)
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed)
    (answers,) = await ask_sides([side], questions, sampling=sampling, concurrency=concurrency, progress=progress)
    return answers


async def ask_sides(
    sides: Sequence[Side],
    questions: Sequence[BenchmarkQuestion],
    *,
    sampling: Sampling,
    concurrency: int = 16,
    progress: ProgressCallback | None = None,
) -> list[list[Answer]]:
    """Ask each side every question; one list a side, in order of question, then sample.

    Sides are interleaved question by question, so that drift of an endpoint hits both. `concurrency` is the most that
    one endpoint gets at a time, shared by sides on the same endpoint; it falls when the endpoint pushes back. Each
    answer is in its log before the next is asked in its place: run again after a kill, only what is missing is asked.
    A question that finally fails is an Answer with `error`, asked again by the next run. Raises what concerns all
    questions (see ChatClient), InvalidInputError for duplicate question ids.
    """
    _check_ids(questions)
    async with AsyncExitStack() as clients_stack:
        with ExitStack() as logs_stack:
            logs = [logs_stack.enter_context(AnswerLog(side.out)) for side in sides]
            for side, log in zip(sides, logs, strict=True):
                log.extend(side.known)
            clients = {
                endpoint: await clients_stack.enter_async_context(ChatClient(endpoint, concurrency))
                for endpoint in dict.fromkeys(side.endpoint for side in sides)
            }
            run = _Run(sides, logs, clients, sampling, progress)
            jobs = list(_jobs(sides, questions, sampling))
            await run.do(jobs, workers=concurrency * len(clients))
            return [[run.answers[job.side, job.key] for job in jobs if job.side == i] for i in range(len(sides))]


class _Run:
    """The state of one asking: what is answered, and how fast it goes."""

    def __init__(
        self,
        sides: Sequence[Side],
        logs: Sequence[AnswerLog],
        clients: dict[Endpoint, ChatClient],
        sampling: Sampling,
        progress: ProgressCallback | None,
    ) -> None:
        self.answers: dict[tuple[int, AnswerKey], Answer] = {}
        self._sides, self._logs, self._clients = sides, logs, clients
        self._sampling, self._progress = sampling, progress
        self._asked = self._errors = self._total = 0
        self._started_at = time.monotonic()

    async def do(self, jobs: Sequence[_Job], workers: int) -> None:
        waiting = []
        for job in jobs:
            logged = self._logs[job.side].get(job.key)
            if logged is None:
                waiting.append(job)
            else:
                self.answers[job.side, job.key] = logged
        self._total = len(jobs)
        self._report()
        queue = iter(waiting)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(workers, len(waiting))):
                    group.create_task(self._work(queue))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work(self, queue: Iterator[_Job]) -> None:
        for job in queue:
            side = self._sides[job.side]
            messages, parameters = side.request(job.question, self._sampling, job.sample)
            reply = await self._clients[side.endpoint].complete(side.model, messages, parameters)
            model, question_id, sample, prompt, sampling = job.key
            answer = Answer(
                model=model,
                question_id=question_id,
                sample=sample,
                prompt_digest=prompt,
                sampling_digest=sampling,
                text=reply.text,
                error=reply.error,
                finish_reason=reply.finish_reason,
                latency_ms=reply.latency_ms,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
            )
            self._logs[job.side].append(answer)
            self.answers[job.side, job.key] = answer
            self._asked += 1
            self._errors += answer.error is not None
            self._report()

    def _report(self) -> None:
        if self._progress is None:
            return
        done = len(self.answers)
        seconds_each = (time.monotonic() - self._started_at) / self._asked if self._asked else None
        left = None if seconds_each is None else seconds_each * (self._total - done)
        self._progress(Progress(done, self._total, self._errors, left))


def _jobs(sides: Sequence[Side], questions: Sequence[BenchmarkQuestion], sampling: Sampling) -> Iterator[_Job]:
    """Question by question, sample by sample, side by side."""
    for question in questions:
        for sample in range(max(side.samples for side in sides)):
            for index, side in enumerate(sides):
                if sample < side.samples:
                    messages, parameters = side.request(question, sampling, sample)
                    prompt, sent = prompt_digest(messages), sampling_digest(parameters)
                    key = (side.model, question.question_id, sample, prompt, sent)
                    yield _Job(index, question, sample, key)


def _check_ids(questions: Sequence[BenchmarkQuestion]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.question_id in seen:
            raise InvalidInputError(
                f"question_id {question.question_id!r} stands twice in the benchmark", field="question_id"
            )
        seen.add(question.question_id)
