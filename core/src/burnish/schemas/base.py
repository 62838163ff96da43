"""Shared shapes of manifests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from burnish import __version__
from burnish.digests import prompt_key
from burnish.errors import InvalidInputError
from burnish.layout import check_name

Item = TypeVar("Item")


class Frozen(BaseModel):
    """Immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def unstorable(text: str) -> str | None:
    """Why SQLite or PostgreSQL cannot keep the text; None where they can."""
    if "\x00" in text:
        return "holds a NUL character, which no database of ours can keep"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds a single surrogate (\\ud800 to \\udfff), which is no character"
    return None


def _storable(text: str) -> str:
    if reason := unstorable(text):
        raise ValueError(reason)
    return text


StorableText = Annotated[str, AfterValidator(_storable)]


class Message(Frozen):
    """One chat message. `content` is text; tool calls and images are not trained on."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


def message_key(prompt: Iterable[Message]) -> str:
    """burnish.digests.prompt_key of typed messages."""
    return prompt_key(message.model_dump() for message in prompt)


def spoken_key(prompt: Iterable[Message]) -> str:
    """`message_key` without the system messages: prompts that ask the same under different instructions have one key.

    A prompt of system messages alone is taken whole.
    """
    messages = list(prompt)
    return message_key([message for message in messages if message.role != "system"] or messages)


class VersionRef(Frozen):
    """A version of a named dataset or adapter."""

    name: str
    version: str = Field(pattern=r"^[0-9a-f]{16}$")

    @field_validator("name")
    @classmethod
    def named(cls, name: str) -> str:
        try:
            return check_name(name, "name")
        except InvalidInputError as error:
            raise ValueError(error.message) from error


class Parent(Frozen):
    """A thing this one was made from, by digest: lineage is walked along these."""

    kind: Literal[
        "runlog", "dataset", "adapter", "benchmark", "base_model", "job", "review", "remote_model", "clustering"
    ]
    name: str = Field(description="its name or id, as `ls` shows it")
    digest: str = Field(description="version, id or sha256:… that pins its content")


class FileEntry(Frozen):
    path: str = Field(description="relative to the manifest's folder")
    size_bytes: int
    sha256: str


class BaseModelRef(Frozen):
    """Which base model; digest as burnish.digests.model_digest gives it."""

    name: str
    digest: str


class Manifest(Frozen):
    """What every manifest.json has. Written last; its existence is the thing's existence."""

    schema_version: int = 1
    created_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    burnish_version: str = __version__
    parents: list[Parent] = []
    files: list[FileEntry] = []


class BrokenObject(Frozen):
    """A stored object that cannot be read, as a list names it."""

    key: str
    problem: str = Field(description="what is wrong with it, and what to do")


class Listing(list[Item]):
    """What a list found. broken: the objects that are there too, and cannot be read."""

    def __init__(self, found: Iterable[Item] = (), broken: Iterable[BrokenObject] = ()) -> None:
        super().__init__(found)
        self.broken = list(broken)
