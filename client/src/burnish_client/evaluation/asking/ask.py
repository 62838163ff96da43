"""Sampling one or several models at once: interleaved, concurrent, resumable."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.evaluation.asking.answers import Answer, AnswerCache, AnswerKey, AnswerLog, cache_key
from burnish_client.evaluation.asking.chat import ChatClient, prompt_digest, sampling_digest
from burnish_client.evaluation.request import MOST_CONCURRENCY, Endpoint, Sampling

SPEED_WINDOW = 100  # answers


@dataclass(frozen=True)
class Progress:
    """done of total answers (those found in the log or reused count as done); errors and reused are among done.

    seconds_left: at the speed of the latest answers; None until one has come.
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
    """One model to ask, how often, and the log for its answers. known: answers that need not be asked (a run log's).

    wordings: question_id -> how this side puts it (a baseline's); a question without one is asked as it is.
    digest: what pins the model's answers (see `model_digest_of`). None, if only the model's name is known: nothing is
    shared with other runs.
    """

    endpoint: Endpoint
    model: str
    out: Path
    samples: int = 1
    known: tuple[Answer, ...] = ()
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    digest: str | None = None


@dataclass(frozen=True)
class _Job:
    """One request for an answer. cache_key: None if its answer is not shared between runs."""

    side: int
    messages: list[Message]
    parameters: dict[str, Any]
    key: AnswerKey
    cache_key: str | None


async def ask_sides(
    sides: Sequence[Side],
    questions: Sequence[BenchmarkQuestion],
    *,
    sampling: Sampling,
    concurrency: int = MOST_CONCURRENCY,
    progress: ProgressCallback | None = None,
    cache: AnswerCache | None = None,
    answered: Callable[[Answer], None] | None = None,
) -> list[list[Answer]]:
    """Ask each side every question; one list a side, in order of question, then sample.

    Sides are interleaved question by question, so that drift of an endpoint affects both alike. `concurrency` is the most
    that one endpoint gets at a time, shared by the sides on it; how many it really gets, Pace finds out. Each answer is
    in its log before the next one is asked: after a kill, the same call asks only what is missing.
    cache: a side with a digest finds answers of earlier runs there, and leaves its own; greedy or seeded ones only (see
    AnswerCache, which the caller enters). Within one call each cached answer is served once: two sides that ask the same
    model the same thing (A/A) never get one answer for both.

    answered: is told each answer once it is in its log; not those that were there or in the cache.

    A question that finally fails is an Answer with `error`, asked again by the next run. Raises what concerns all
    questions (see ChatClient), InvalidInputError for duplicate question ids.
    """
    twice = [name for name, count in Counter(question.question_id for question in questions).items() if count > 1]
    if twice:
        raise InvalidInputError(f"question_id {twice[0]!r} is in the benchmark twice", field="question_id")
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
            run = _Run(sides, logs, clients, progress, cache, answered)
            await run.do(jobs, workers=concurrency * len(clients))
            return [[run.answers[job.side, job.key] for job in jobs if job.side == i] for i in range(len(sides))]


class _Run:
    """The state of one call of `ask_sides`: what is answered, and how fast answers come."""

    def __init__(
        self,
        sides: Sequence[Side],
        logs: Sequence[AnswerLog],
        clients: dict[Endpoint, ChatClient],
        progress: ProgressCallback | None,
        cache: AnswerCache | None,
        answered: Callable[[Answer], None] | None,
    ) -> None:
        self.answers: dict[tuple[int, AnswerKey], Answer] = {}
        self._sides, self._logs, self._clients = sides, logs, clients
        self._progress, self._cache, self._answered = progress, cache, answered
        self._errors = self._total = self._reused = 0
        self._times = deque([time.monotonic()], maxlen=SPEED_WINDOW + 1)

    async def do(self, jobs: Sequence[_Job], workers: int) -> None:
        waiting = self._take_known(jobs)
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

    def _take_known(self, jobs: Sequence[_Job]) -> list[_Job]:
        """Answer from the logs, then from the cache, each of its answers once. The rest is to be asked."""
        missing = []
        for job in jobs:
            logged = self._logs[job.side].get(job.key)
            if logged is None:
                missing.append(job)
            else:
                self.answers[job.side, job.key] = logged
        if self._cache is None:
            return missing
        served: set[str] = set()
        left = []
        for job in missing:
            cached = None if job.cache_key is None or job.cache_key in served else self._cache.get(job.cache_key)
            if cached is None or job.cache_key is None:
                left.append(job)
                continue
            served.add(job.cache_key)
            names = {"model": job.key[0], "question_id": job.key[1], "reused": True}
            self._keep(job, cached.model_copy(update=names))
        return left

    async def _work(self, queue: Iterator[_Job]) -> None:
        for job in queue:
            model, question_id, sample, prompt, sampling = job.key
            client = self._clients[self._sides[job.side].endpoint]
            reply = await client.complete(model, job.messages, job.parameters)
            answer = Answer(
                model=model,
                question_id=question_id,
                sample=sample,
                prompt_digest=prompt,
                sampling_digest=sampling,
                **asdict(reply),
            )
            self._keep(job, answer)
            if self._cache is not None and job.cache_key is not None:
                self._cache.put(job.cache_key, answer)
            if self._answered is not None:
                self._answered(answer)
            self._errors += answer.error is not None
            self._times.append(time.monotonic())
            self._report()

    def _keep(self, job: _Job, answer: Answer) -> None:
        self._logs[job.side].append(answer)
        self.answers[job.side, job.key] = answer

    def _report(self) -> None:
        """seconds_left goes by the latest SPEED_WINDOW answers, since an endpoint warms up and drifts."""
        if self._progress is not None:
            done, timed = len(self.answers), len(self._times) - 1
            each = (self._times[-1] - self._times[0]) / timed if timed else None
            left = None if each is None else each * (self._total - done)
            self._progress(Progress(done, self._total, self._errors, left, self._reused))


def _jobs(sides: Sequence[Side], questions: Sequence[BenchmarkQuestion], sampling: Sampling) -> Iterator[_Job]:
    """Question by question, sample by sample, side by side."""
    for question in questions:
        for sample in range(max(side.samples for side in sides)):
            for index, side in enumerate(sides):
                if sample >= side.samples:
                    continue
                wording = side.wordings.get(question.question_id)
                messages = question.prompt_messages() if wording is None else list(wording.messages)
                extra = {} if wording is None else wording.parameters
                parameters = side.endpoint.parameters({**sampling.of(question, sample), **extra})
                prompt, sent = prompt_digest(messages), sampling_digest(parameters)
                key = (side.model, question.question_id, sample, prompt, sent)
                shared = cache_key(side.digest, sample, prompt, sent, parameters)
                yield _Job(index, messages, parameters, key, shared)
