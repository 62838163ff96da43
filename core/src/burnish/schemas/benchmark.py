"""Benchmarks: fixed questions with a known-good answer and a grader."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from burnish.schemas.base import Frozen, Manifest, Message


class GraderSpec(Frozen):
    """Name of a registered grader and its arguments; see burnish.grading."""

    name: str
    args: dict[str, Any] = {}


class BenchmarkQuestion(Frozen):
    """One line of a benchmark. Exactly one of prompt and messages. Unknown keys go under `extra`."""

    question_id: str = Field(min_length=1)
    prompt: str | None = None
    messages: list[Message] | None = None
    expected_answer: str
    grader: GraderSpec
    slice: str = "all"
    max_tokens: int | None = Field(
        default=None, ge=1, description="answer budget in tokens; None: the eval run's default"
    )
    benchmark_only: bool = Field(default=False, description="never to be trained on, whatever the run log has")
    question: str | None = Field(default=None, description="the bare question, where prompt/messages hold evidence too")
    evidence_text: str = ""
    evidence_files: list[str] = []
    cluster: str | None = Field(
        default=None,
        description="questions that share this are not independent; None: those that share an evidence file",
    )
    extra: dict[str, Any] = {}

    @field_validator("grader", mode="before")
    @classmethod
    def named_in_an_object(cls, grader: object) -> object:
        if isinstance(grader, str):
            raise ValueError(f'write {{"name": "{grader}"}}, with "args" for its arguments')
        return grader

    @model_validator(mode="after")
    def one_prompt(self) -> BenchmarkQuestion:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give exactly one of `prompt` and `messages`")
        return self

    def prompt_messages(self) -> list[Message]:
        return list(self.messages) if self.messages is not None else [Message(role="user", content=self.prompt or "")]


class BenchmarkManifest(Manifest):
    """benchmarks/<name>/<version>/manifest.json; version = version_of(questions.jsonl)."""

    name: str
    version: str
    questions: int
    slices: dict[str, int]
