"""Rows as token ids by the model's own chat template, and the checks that a row must pass before any step is taken.

Uses whatever tokenizer it is given; imports no model library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen, Message

MASKED = -100  # the label that carries no loss
NAMED_ROWS = 10


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    eos_token_id: int
    eos_token: str
    chat_template: Any
    all_special_tokens: list[str]

    def apply_chat_template(self, conversation: Any, **arguments: Any) -> Any: ...

    def __call__(self, text: list[str], /, **arguments: Any) -> Any: ...


class Example(Frozen):
    """One sequence: a prompt and one completion. `prompt_tokens` of the ids are the prompt; the rest ends in EOS."""

    question_id: str
    ids: tuple[int, ...]
    prompt_tokens: int

    @property
    def labels(self) -> list[int]:
        """The ids, masked on the prompt: loss is on the completion and its EOS alone."""
        return [MASKED] * self.prompt_tokens + list(self.ids[self.prompt_tokens :])

    @property
    def trained_tokens(self) -> int:
        return len(self.ids) - self.prompt_tokens


@dataclass(frozen=True)
class Sequenced:
    """What is encoded: a prompt and one completion of it."""

    question_id: str
    prompt: Sequence[Message]
    completion: Sequence[Message]


@dataclass(frozen=True)
class Rendered:
    """A sequence by the chat template, as text. prompt: with the generation prompt, as it is served."""

    question_id: str
    prompt: str
    whole: str


@dataclass(frozen=True)
class Encoding:
    """A sequence as ids, with all that the template writes. start: the first id that is not the prompt's; end: behind the
    last EOS from there on, None where there is none."""

    question_id: str
    ids: tuple[int, ...]
    start: int
    end: int | None

    def example(self) -> Example | None:
        """None where the completion has no EOS."""
        if self.end is None:
            return None
        return Example(question_id=self.question_id, ids=self.ids[: self.end], prompt_tokens=self.start)


def encode(tokenizer: Tokenizer, question_id: str, prompt: Sequence[Message], completion: Sequence[Message]) -> Example:
    """Prompt and completion through the chat template, cut after the last EOS.

    What a template writes behind the EOS (ChatML: a line break) is never generated, since generation ends at EOS.
    InvalidInputError where the template has no EOS after the completion, since a model so trained would not stop.
    """
    example = encode_all(tokenizer, render_all(tokenizer, [Sequenced(question_id, prompt, completion)]))[0].example()
    if example is None:
        raise InvalidInputError(
            f"question {question_id}: the chat template puts no {tokenizer.eos_token} after the completion, so the model "
            "would not learn to stop: correct the base model's chat_template.jinja or its eos_token",
            question_id=question_id,
        )
    return example


def render_all(tokenizer: Tokenizer, sequences: Sequence[Sequenced]) -> list[Rendered]:
    """Every sequence by the chat template. jinja2.TemplateError where the template refuses one."""
    prompts = _render(tokenizer, [sequence.prompt for sequence in sequences], add_generation_prompt=True)
    whole = _render(tokenizer, [[*sequence.prompt, *sequence.completion] for sequence in sequences])
    return [Rendered(sequence.question_id, *texts) for sequence, *texts in zip(sequences, prompts, whole, strict=True)]


def encode_all(tokenizer: Tokenizer, rendered: Sequence[Rendered]) -> list[Encoding]:
    """Every text once, in one batch."""
    texts = list(dict.fromkeys(text for one in rendered for text in (one.prompt, one.whole)))
    ids = dict(zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True)) if texts else {}
    return [_encoding(one.question_id, ids[one.prompt], ids[one.whole], tokenizer.eos_token_id) for one in rendered]


def _encoding(question_id: str, prompt: list[int], whole: list[int], eos: int) -> Encoding:
    start = _common_prefix(prompt, whole)
    completion = whole[start:]
    end = len(whole) - completion[::-1].index(eos) if eos in completion else None
    return Encoding(question_id, tuple(whole), start, end)


def longer_than(examples: Iterable[Example], tokens: int) -> dict[str, int]:
    """Question id -> tokens of its longest sequence, of those that have more than `tokens`."""
    longer: dict[str, int] = {}
    for example in examples:
        if len(example.ids) > tokens:
            longer[example.question_id] = max(len(example.ids), longer.get(example.question_id, 0))
    return longer


def unlearnable(examples: Iterable[Example]) -> list[str]:
    """Ids of rows with nothing but EOS to learn."""
    return [example.question_id for example in examples if example.trained_tokens <= 1]


def check(examples: Iterable[Example], max_length: int) -> None:
    """The worker's last guard behind preflight: refuse rows that are too long, or have nothing but EOS to learn."""
    examples = list(examples)
    longer = longer_than(examples, max_length)
    if longer:
        raise InvalidInputError(
            f"{len(longer)} rows are longer than max_length {max_length} tokens (the longest has {max(longer.values())}): "
            f"raise optimizer.max_length, or leave these questions out: {_some(longer)}",
            field="optimizer.max_length",
            question_ids=",".join(list(longer)[:NAMED_ROWS]),
        )
    empty = unlearnable(examples)
    if empty:
        raise InvalidInputError(
            f"{len(empty)} rows have an empty completion, so there is nothing to learn from them: {_some(empty)}",
            field="dataset",
            question_ids=",".join(empty[:NAMED_ROWS]),
        )


def _render(tokenizer: Tokenizer, conversations: Sequence[Sequence[Message]], **arguments: Any) -> list[str]:
    plain = [[message.model_dump() for message in conversation] for conversation in conversations]
    rendered: list[str] = tokenizer.apply_chat_template(plain, tokenize=False, **arguments) if plain else []
    return rendered


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Where two sequences part: a template may render the end of a prompt otherwise once a completion follows."""
    for position, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return position
    return min(len(one), len(other))


def _some(ids: Iterable[str]) -> str:
    ids = list(ids)
    rest = len(ids) - NAMED_ROWS
    return ", ".join(ids[:NAMED_ROWS]) + (f" and {rest} more" if rest > 0 else "")
