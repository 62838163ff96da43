"""Answers and the file they are appended to as they come, so that a killed run resumes and asks nothing twice."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from burnish.errors import CorruptDataError, PreconditionError
from burnish.schemas.base import Frozen

FSYNC_EVERY_SECONDS = 1.0

AnswerKey = tuple[str, str, int, str, str]


class Answer(Frozen):
    """What one model said to one question, once: a line of an answer log. Exactly one of text and error is set.

    latency_ms: of the attempt that answered, from sending to the last byte. sampling_digest: of all parameters sent.
    reused: taken from a cache or a run log, not asked in this run (nor in the part of it before an interruption).
    first_token_logprobs: token -> natural log of its probability to stand first, where it was asked for and given.
    """

    model: str
    question_id: str
    sample: int
    prompt_digest: str
    sampling_digest: str
    text: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    latency_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reused: bool = False
    first_token_logprobs: dict[str, float] | None = None

    @property
    def key(self) -> AnswerKey:
        """What makes two askings the same: model, question, sample, prompt and parameters."""
        return (self.model, self.question_id, self.sample, self.prompt_digest, self.sampling_digest)


class AnswerLog:
    """An append-only JSONL of answers. A context manager; one writer at a time (PreconditionError for a second one).

    A line reaches the operating system at once and the disk within about a second, so a killed process loses nothing it
    logged. A last line cut short by a crash is dropped; a bad line before it raises CorruptDataError. Answers that are
    errors are kept in the file but count as not asked. Of two lines with one key the later one holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[AnswerKey, Answer] = {}

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = self.path.open("a+b")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
        except BlockingIOError as error:
            self._handle.close()
            raise PreconditionError(
                f"{self.path} is being written by another run: wait for it, or choose another folder"
            ) from error
        except BaseException:
            self._handle.close()
            raise
        self._synced_at = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        self._sync()
        self._handle.close()

    def get(self, key: AnswerKey) -> Answer | None:
        """The logged answer, or None where the question is still to be asked (also when it ended in an error)."""
        answer = self._answers.get(key)
        return None if answer is None or answer.error is not None else answer

    def append(self, answer: Answer) -> None:
        self._answers[answer.key] = answer
        self._handle.write(answer.model_dump_json(exclude_none=True).encode() + b"\n")
        self._handle.flush()
        if time.monotonic() - self._synced_at >= FSYNC_EVERY_SECONDS:
            self._sync()

    def extend(self, answers: Iterable[Answer]) -> None:
        """Append those that are not there yet."""
        for answer in answers:
            if self.get(answer.key) is None:
                self.append(answer)

    def _load(self) -> None:
        self._handle.seek(0)
        content = self._handle.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._handle.truncate(len(whole))
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                answer = Answer.model_validate_json(line)
            except ValidationError as error:
                raise CorruptDataError(
                    f"{self.path} line {number}: not an answer: {error.errors()[0]['msg']}"
                ) from error
            self._answers[answer.key] = answer

    def _sync(self) -> None:
        os.fsync(self._handle.fileno())
        self._synced_at = time.monotonic()
