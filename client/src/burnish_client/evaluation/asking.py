"""Asking questions of one or two models at once: interleaved, concurrent, resumable."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.evaluation.answers import Answer, AnswerKey, AnswerLog
from burnish_client.evaluation.cache import AnswerCache, cache_key, is_repeatable
from burnish_client.evaluation.chat import ChatClient, Endpoint, Reply, Sampling, prompt_digest, sampling_digest

MOST_CONCURRENCY = 256
SPEED_WINDOW = 100  # answers


@dataclass(frozen=True)
class Progress:
    """done of total answers (those found in the log or reused count as done); errors and reused are among done.

    seconds_left: at the speed of the latest answers; None until one has been asked.
    """

    done: int
    total: int
    errors: int
    seconds_left: float | None
    reused: int = 0


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
    digest: what pins the model's answers (see `model_digest_of`); None, for a model of which only the name is known:
    nothing is shared with other runs.
    """

    endpoint: Endpoint
    model: str
    out: Path
    samples: int = 1
    known: tuple[Answer, ...] = ()
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    digest: str | None = None

    def request(
        self, question: BenchmarkQuestion, sampling: Sampling, sample: int
    ) -> tuple[list[Message], dict[str, Any]]:
        """Messages and request parameters of one asking, as they are sent."""
        wording = self.wordings.get(question.question_id)
        messages = question.prompt_messages() if wording is None else list(wording.messages)
        extra = {} if wording is None else wording.parameters
        return messages, self.endpoint.parameters({**sampling.of(question, sample), **extra})


@dataclass(frozen=True)
class _Job:
    """One asking. cache_key: None where its answer is not to be shared between runs."""

    side: int
    messages: list[Message]
    parameters: dict[str, Any]
    key: AnswerKey
    cache_key: str | None

    @property
    def question_id(self) -> str:
        return self.key[1]

    def answer(self, reply: Reply) -> Answer:
        model, question_id, sample, prompt, sampling = self.key
        return Answer(
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
            first_token_logprobs=reply.first_token_logprobs,
        )


async def ask(
    endpoint: Endpoint,
    model: str,
    questions: Sequence[BenchmarkQuestion],
    *,
    out: Path,
    samples: int = 1,
    concurrency: int = MOST_CONCURRENCY,
    max_tokens: int = 256,
    temperature: float = 0.0,
    seed: int | None = 0,
    progress: ProgressCallback | None = None,
    digest: str | None = None,
    cache: AnswerCache | None = None,
) -> list[Answer]:
    """Ask one model every question `samples` times; the answers in order of question, then sample. See `ask_sides`."""
    side = Side(endpoint, model, out, samples, digest=digest)
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed)
    (answers,) = await ask_sides(
        [side], questions, sampling=sampling, concurrency=concurrency, progress=progress, cache=cache
    )
    return answers


async def ask_sides(
    sides: Sequence[Side],
    questions: Sequence[BenchmarkQuestion],
    *,
    sampling: Sampling,
    concurrency: int = MOST_CONCURRENCY,
    progress: ProgressCallback | None = None,
    cache: AnswerCache | None = None,
) -> list[list[Answer]]:
    """Ask each side every question; one list a side, in order of question, then sample.

    Sides are interleaved question by question, so that drift of an endpoint hits both. `concurrency` is the most that
    one endpoint gets at a time, shared by sides on the same endpoint; how many it really gets, Pace finds out. Each
    answer is in its log before the next is asked in its place: run again after a kill, only what is missing is asked.
    cache: where a side with a digest finds answers of earlier runs, and leaves its own; greedy or seeded ones only (see
    AnswerCache, which the caller enters). Within one call each cached answer is served once: two sides that ask the same
    model the same thing (A/A) never get one answer for both.

    A question that finally fails is an Answer with `error`, asked again by the next run. Raises what concerns all
    questions (see ChatClient), InvalidInputError for duplicate question ids.
    """
    _check_ids(questions)
    async with AsyncExitStack() as clients_stack:
        with ExitStack() as logs_stack:
            logs = [logs_stack.enter_context(AnswerLog(side.out)) for side in sides]
            for side, log in zip(sides, logs, strict=True):
                log.extend(answer.model_copy(update={"reused": True}) for answer in side.known)
            clients = {
                endpoint: await clients_stack.enter_async_context(ChatClient(endpoint, concurrency))
                for endpoint in dict.fromkeys(side.endpoint for side in sides)
            }
            jobs = list(_jobs(sides, questions, sampling))
            run = _Run(sides, logs, clients, progress, cache)
            await run.do(jobs, workers=concurrency * len(clients))
            return [[run.answers[job.side, job.key] for job in jobs if job.side == i] for i in range(len(sides))]


class _Run:
    """The state of one asking: what is answered, and how fast it goes."""

    def __init__(
        self,
        sides: Sequence[Side],
        logs: Sequence[AnswerLog],
        clients: dict[Endpoint, ChatClient],
        progress: ProgressCallback | None,
        cache: AnswerCache | None,
    ) -> None:
        self.answers: dict[tuple[int, AnswerKey], Answer] = {}
        self._sides, self._logs, self._clients = sides, logs, clients
        self._progress, self._cache = progress, cache
        self._errors = self._total = self._reused = 0
        self._speed = _Speed()

    async def do(self, jobs: Sequence[_Job], workers: int) -> None:
        waiting = [job for job in jobs if not self._is_answered(job)]
        waiting = self._take_from_cache(waiting)
        self._total = len(jobs)
        self._reused = sum(answer.reused for answer in self.answers.values())
        self._report()
        queue = iter(waiting)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(workers, len(waiting))):
                    group.create_task(self._work(queue))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _is_answered(self, job: _Job) -> bool:
        logged = self._logs[job.side].get(job.key)
        if logged is not None:
            self.answers[job.side, job.key] = logged
        return logged is not None

    def _take_from_cache(self, jobs: Sequence[_Job]) -> list[_Job]:
        """Answer what the cache knows, each of its answers once; what is left is to be asked."""
        if self._cache is None:
            return list(jobs)
        served: set[str] = set()
        left = []
        for job in jobs:
            cached = None if job.cache_key is None or job.cache_key in served else self._cache.get(job.cache_key)
            if cached is None or job.cache_key is None:
                left.append(job)
                continue
            served.add(job.cache_key)
            names = {"model": self._sides[job.side].model, "question_id": job.question_id, "reused": True}
            self._keep(job, cached.model_copy(update=names))
        return left

    async def _work(self, queue: Iterator[_Job]) -> None:
        for job in queue:
            side = self._sides[job.side]
            reply = await self._clients[side.endpoint].complete(side.model, job.messages, job.parameters)
            answer = job.answer(reply)
            self._keep(job, answer)
            if self._cache is not None and job.cache_key is not None:
                self._cache.put(job.cache_key, answer)
            self._errors += answer.error is not None
            self._speed.answered()
            self._report()

    def _keep(self, job: _Job, answer: Answer) -> None:
        self._logs[job.side].append(answer)
        self.answers[job.side, job.key] = answer

    def _report(self) -> None:
        if self._progress is not None:
            done = len(self.answers)
            left = self._speed.seconds_for(self._total - done)
            self._progress(Progress(done, self._total, self._errors, left, self._reused))


class _Speed:
    """How fast answers have come of late: over the latest SPEED_WINDOW, since an endpoint warms up and drifts."""

    def __init__(self) -> None:
        self._times = deque([time.monotonic()], maxlen=SPEED_WINDOW + 1)

    def answered(self) -> None:
        self._times.append(time.monotonic())

    def seconds_for(self, answers: int) -> float | None:
        """None until one has come."""
        if len(self._times) < 2:
            return None
        return (self._times[-1] - self._times[0]) / (len(self._times) - 1) * answers


def _jobs(sides: Sequence[Side], questions: Sequence[BenchmarkQuestion], sampling: Sampling) -> Iterator[_Job]:
    """Question by question, sample by sample, side by side."""
    for question in questions:
        for sample in range(max(side.samples for side in sides)):
            for index, side in enumerate(sides):
                if sample < side.samples:
                    yield _job(index, side, question, sampling, sample)


def _job(index: int, side: Side, question: BenchmarkQuestion, sampling: Sampling, sample: int) -> _Job:
    messages, parameters = side.request(question, sampling, sample)
    prompt, sent = prompt_digest(messages), sampling_digest(parameters)
    key = (side.model, question.question_id, sample, prompt, sent)
    shared = None
    if side.digest is not None and is_repeatable(parameters):
        shared = cache_key(side.digest, sample, prompt, sent)
    return _Job(index, messages, parameters, key, shared)


def _check_ids(questions: Sequence[BenchmarkQuestion]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.question_id in seen:
            raise InvalidInputError(
                f"question_id {question.question_id!r} stands twice in the benchmark", field="question_id"
            )
        seen.add(question.question_id)
