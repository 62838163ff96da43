"""Reads the probe set out of the package."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from pydantic import Field

from burnish.digests import version_of
from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkQuestion

CATEGORIES = ("arithmetic", "facts", "format", "instruction", "nonsense")
MAX_TOKENS = 96  # answer budget of every probe question: all right answers are short
QUESTIONS, TEXTS = "questions.jsonl", "texts.jsonl"


class ProbeText(Frozen):
    """A passage of plain English, 80 to 200 words, in one paragraph."""

    text_id: str = Field(min_length=1)
    kind: str = Field(description="narrative, instructions, dialogue, technical, letter or report")
    text: str = Field(min_length=1)


@lru_cache(maxsize=1)
def probe_questions() -> tuple[BenchmarkQuestion, ...]:
    """The probe's questions, in order. `slice` is one of CATEGORIES; `extra["wrong"]` is an answer that must fail."""
    return tuple(BenchmarkQuestion.model_validate_json(line) for line in _data(QUESTIONS).splitlines())


@lru_cache(maxsize=1)
def probe_texts() -> tuple[ProbeText, ...]:
    """The plain texts whose cross-entropy is measured, in order."""
    return tuple(ProbeText.model_validate_json(line) for line in _data(TEXTS).splitlines())


def probe_version() -> str:
    """Digest of questions and texts: results of two versions are not compared."""
    return version_of(_data(QUESTIONS), _data(TEXTS))


def _data(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
