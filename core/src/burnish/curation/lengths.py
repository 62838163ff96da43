"""Lengths of dataset rows: tokens by the base model's own chat template, or characters where no tokenizer is given."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import orjson
from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from burnish.errors import InvalidInputError, NotFoundError
from burnish.schemas.base import Message
from burnish.schemas.dataset import LengthStatistics

TEMPLATE_DATE = datetime(2026, 1, 1, tzinfo=UTC)


class Encoder(Protocol):
    """What of `tokenizers.Tokenizer` is needed; core does not depend on that library."""

    def encode_batch_fast(self, input: list[str], *, add_special_tokens: bool) -> Sequence[Any]:
        """One encoding a text, with `ids`."""
        ...


class Lengths(Protocol):
    """Measures whole conversations."""

    def measure(self, conversations: Sequence[Sequence[Message]]) -> list[int]: ...

    def summary(self, lengths: Sequence[int]) -> LengthStatistics: ...


class CharacterLengths:
    """Characters of all message contents; for a curator without a tokenizer."""

    def measure(self, conversations: Sequence[Sequence[Message]]) -> list[int]:
        return [sum(len(message.content) for message in conversation) for conversation in conversations]

    def summary(self, lengths: Sequence[int]) -> LengthStatistics:
        return summarise(lengths, "characters", None)


class TokenLengths:
    """Tokens as the trainer will see them: the chat template rendered, then encoded without further special tokens.

    digest: of the base model that the tokenizer belongs to, where known; the trainer compares it with its own.
    """

    def __init__(
        self, encoder: Encoder, template: str, special_tokens: dict[str, str], name: str, digest: str | None = None
    ) -> None:
        self._template = template_environment().from_string(template)
        self._encoder = encoder
        self._special_tokens = special_tokens
        self._name = name
        self._digest = digest

    def measure(self, conversations: Sequence[Sequence[Message]]) -> list[int]:
        texts = [self._render(conversation) for conversation in conversations]
        return [len(encoding.ids) for encoding in self._encoder.encode_batch_fast(texts, add_special_tokens=False)]

    def summary(self, lengths: Sequence[int]) -> LengthStatistics:
        counted = summarise(lengths, "tokens", self._name)
        return counted.model_copy(update={"base_model_digest": self._digest})

    def _render(self, conversation: Sequence[Message]) -> str:
        messages = [message.model_dump() for message in conversation]
        try:
            return self._template.render(messages=messages, add_generation_prompt=False, **self._special_tokens)
        except TemplateError as error:
            roles = ", ".join(message.role for message in conversation)
            raise InvalidInputError(
                f"the chat template of {self._name} refuses a conversation of roles {roles}: {error}"
            ) from error


class GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}`: marks what the assistant says; rendered as it stands."""

    tags = {"generation"}  # jinja2 reads it from the class

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def template_environment() -> ImmutableSandboxedEnvironment:
    """What Hugging Face chat templates may rely on. The date is fixed, so that a dataset has the same lengths every day.

    Source: transformers, utils/chat_template_utils.py (`_cached_compile_jinja_template`).
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = TEMPLATE_DATE.strftime
    environment.filters["tojson"] = partial(json.dumps, ensure_ascii=False)
    return environment


def load_chat_template(folder: Path) -> tuple[str, dict[str, str]]:
    """(chat template, special tokens by name) of a Hugging Face tokenizer folder; NotFoundError where it has no template."""
    config: dict[str, Any] = orjson.loads((folder / "tokenizer_config.json").read_bytes())
    beside = folder / "chat_template.jinja"
    template = beside.read_text(encoding="utf-8") if beside.is_file() else config.get("chat_template")
    if not isinstance(template, str):
        raise NotFoundError(f"{folder} has no chat_template.jinja: give the folder of an instruction-tuned model")
    tokens = {name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return template, {name: text for name, text in tokens.items() if text is not None}


def summarise(lengths: Sequence[int], unit: Any, tokenizer: str | None) -> LengthStatistics:
    """p95 is the smallest length that at least 95 % of the rows do not exceed."""
    return LengthStatistics(
        unit=unit,
        tokenizer=tokenizer,
        minimum=min(lengths),
        median=statistics.median(lengths),
        p95=float(np.percentile(lengths, 95, method="inverted_cdf")),
        maximum=max(lengths),
        total=sum(lengths),
    )


def _token_text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
