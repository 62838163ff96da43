"""Answers shared between runs: the same model, prompt and parameters are not asked again. Used by `ask_sides`; SQLite only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import CorruptDataError
from burnish_client.evaluation.answers import Answer

FILE = "answers.sqlite3"
LOCK_LIMIT_SECONDS = 30.0
SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID"


class AnswerCache:
    """`folder`/answers.sqlite3: a context manager, for several processes at once, never asked by two threads.

    A key is the model's digest (see `model_digest_of`), the sample's number, the prompt and all parameters as sent. The
    sample counts even where its parameters are another's: asking twice must give two answers, or a noise floor would be
    measured on copies. Errors are not kept. The first answer to a key stays. Deleting the file loses time only.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=LOCK_LIMIT_SECONDS, isolation_level=None)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(SCHEMA)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise self._corrupt(error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def get(self, key: str) -> Answer | None:
        """The answer as it was logged when it was asked: its model's name and question id are those of then."""
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
        return CorruptDataError(f"{self.path} is no cache of answers ({why}): remove it, it will be made anew")


def cache_key(model_digest: str, sample: int, prompt_digest: str, sampling_digest: str) -> str:
    return sha256_hex(canonical_json([model_digest, sample, prompt_digest, sampling_digest]))


def is_repeatable(parameters: Mapping[str, Any]) -> bool:
    """True where the parameters fix the answer, batching aside: greedy, or seeded. Only such answers are cached."""
    return parameters.get("temperature") == 0 or parameters.get("seed") is not None


def model_digest_of(base_digest: str, adapter_version: str | None = None) -> str:
    """What pins a served model's answers: the base's digest (AdapterManifest.base_model.digest) and the adapter's version."""
    return base_digest if adapter_version is None else f"{base_digest}+{adapter_version}"
