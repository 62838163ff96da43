"""What an eval will ask, before it asks: answers, tokens, and minutes if answers of the base were timed before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.evaluation.asking.ask import Side
from burnish_client.evaluation.asking.pace import START
from burnish_client.evaluation.request import Sampling

BYTES_PER_TOKEN = 2.5  # fewer than any common tokenizer needs for English or code: an estimate of tokens errs to more
TOKENS_PER_MESSAGE = 8  # role and separators of a chat template


@dataclass(frozen=True)
class Forecast:
    """answers: to be asked, if no earlier run left them. prompt_tokens, completion_tokens: at most about so many.

    minutes: as fast as the answers that are known already, START at a time; None if none of them was timed.
    """

    answers: int
    prompt_tokens: int
    completion_tokens: int
    minutes: float | None

    def sentence(self) -> str:
        time = (
            "the time left is shown once answers come" if self.minutes is None else f"about {self.minutes:,.0f} minutes"
        )
        return f"to ask: {self.answers:,} answers, at most about {self.prompt_tokens:,} tokens in and {self.completion_tokens:,} out; {time}"


ForecastCallback = Callable[[Forecast], None]


def forecast(sides: Iterable[Side], questions: Sequence[BenchmarkQuestion], sampling: Sampling) -> Forecast:
    """Of all sides together, as they word the questions; known answers are not asked. The judge and the probe set are not in it."""
    answers = completion_tokens = 0
    prompt_tokens = 0.0
    seconds: list[float] = []
    for side in sides:
        known = {(answer.question_id, answer.sample) for answer in side.known}
        seconds += [answer.latency_ms / 1000 for answer in side.known if answer.latency_ms]
        for question in questions:
            wording = side.wordings.get(question.question_id)
            messages = wording.messages if wording else question.prompt_messages()
            for sample in range(side.samples):
                if (question.question_id, sample) not in known:
                    answers += 1
                    prompt_tokens += prompt_size_tokens(messages)
                    completion_tokens += int(sampling.of(question, sample)["max_tokens"])
    minutes = answers * sum(seconds) / len(seconds) / START / 60 if seconds else None
    return Forecast(answers, round(prompt_tokens), completion_tokens, minutes)


def prompt_size_tokens(messages: Iterable[Message]) -> float:
    return sum(len(message.content.encode()) / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE for message in messages)
