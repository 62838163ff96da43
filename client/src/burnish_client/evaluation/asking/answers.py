"""Answers, the log that each run appends them to, and the cache that runs share: nothing is asked twice."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import CorruptDataError
from burnish.jsonl import AppendLog
from burnish.schemas.base import Frozen

FSYNC_EVERY_SECONDS = 1.0
CACHE_FILE = "answers.sqlite3"
LOCK_LIMIT_SECONDS = 30.0
CACHE_SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID"

AnswerKey = tuple[str, str, int, str, str]


class Answer(Frozen):
    """What one model said to one question, once: a line of an answer log. Exactly one of text and error is set.

    latency_ms: of the attempt that answered, from sending to the last byte. sampling_digest: of all parameters sent.
    reused: taken from a cache or a run log, not asked in this run (nor in the part of it before an interruption).
    first_token_logprobs: token -> natural log of its probability to be the first, if it was asked for and given.
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
        """What makes two answers answers to the same request: model, question, sample, prompt and parameters."""
        return (self.model, self.question_id, self.sample, self.prompt_digest, self.sampling_digest)


class AnswerLog:
    """An append-only JSONL of answers. A context manager; one writer at a time (PreconditionError for a second one).

    A line reaches the operating system at once and the disk within about a second, so a killed process loses nothing that
    it logged. A last line cut short by a crash is dropped; a bad line before it raises CorruptDataError. Answers that are
    errors are kept in the file but count as not asked. Of two lines with one key the later one counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[AnswerKey, Answer] = {}

    def __enter__(self) -> Self:
        self._log = AppendLog(self.path, sync_every_seconds=FSYNC_EVERY_SECONDS, exclusive=True)
        try:
            for answer in self._log.parsed(Answer.model_validate_json, "an answer"):
                self._answers[answer.key] = answer
        except BaseException:
            self._log.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._log.close()

    def get(self, key: AnswerKey) -> Answer | None:
        """The logged answer; None if the question is still to be asked (also if it ended in an error)."""
        answer = self._answers.get(key)
        return None if answer is None or answer.error is not None else answer

    def append(self, answer: Answer) -> None:
        self._answers[answer.key] = answer
        self._log.append(answer.model_dump_json(exclude_none=True).encode())

    def extend(self, answers: Iterable[Answer]) -> None:
        """Append those that are not there yet."""
        for answer in answers:
            if self.get(answer.key) is None:
                self.append(answer)


class AnswerCache:
    """`folder`/answers.sqlite3: a context manager, for several processes at once, but for one thread of each.

    A key is the model's digest (see `model_digest_of`), the sample's number, the prompt and all parameters as sent. The
    sample counts even if its parameters are those of another: two samples must be two answers, or the noise would be
    measured on copies. Errors are not kept. The first answer to a key stays. Deleting the file loses time only.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / CACHE_FILE

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=LOCK_LIMIT_SECONDS, isolation_level=None)
        try:
            self._write_ahead()
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(CACHE_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise self._corrupt(error) from error
        return self

    def _write_ahead(self) -> None:
        """SQLite waits for no lock in this change of a file, which two processes may begin at once: so wait here."""
        deadline = time.monotonic() + LOCK_LIMIT_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def get(self, key: str) -> Answer | None:
        """The answer as it was logged first; its model name and question id are those of that time."""
        row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            return Answer.model_validate_json(row[0])
        except ValidationError as error:
            raise self._corrupt(error.errors()[0]["msg"]) from error

    def put(self, key: str, answer: Answer) -> None:
        if answer.error is None:
            line = answer.model_dump_json(exclude_none=True)
            self._database.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, line))

    def _corrupt(self, why: object) -> CorruptDataError:
        return CorruptDataError(f"{self.path} is no cache of answers ({why}): remove it, and a new one will be made")


def cache_key(
    model_digest: str | None, sample: int, prompt: str, sampling: str, parameters: Mapping[str, Any]
) -> str | None:
    """Digest of what fixes an answer; None if it may not be shared between runs.

    That is so if only the model's name is known (no model_digest), and unless the parameters fix the answer, batching
    aside: greedy, or seeded. prompt, sampling: their digests.
    """
    if model_digest is None or not (parameters.get("temperature") == 0 or parameters.get("seed") is not None):
        return None
    return sha256_hex(canonical_json([model_digest, sample, prompt, sampling]))


def model_digest_of(base_digest: str, adapter_version: str | None = None) -> str:
    """What pins a served model's answers: the base's digest (AdapterManifest.base_model.digest) and the adapter's version."""
    return base_digest if adapter_version is None else f"{base_digest}+{adapter_version}"
