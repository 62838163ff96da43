"""Rows as token ids by the model's own chat template, and the checks that a row must pass before any step is taken.

Uses whatever tokenizer it is given; imports no model library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen, Message

MASKED = -100  # the label that carries no loss
NAMED_ROWS = 10


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    eos_token_id: int
    eos_token: str

    def apply_chat_template(self, conversation: list[dict[str, str]], **arguments: Any) -> Any: ...


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


def encode(tokenizer: Tokenizer, question_id: str, prompt: Sequence[Message], completion: Sequence[Message]) -> Example:
    """Prompt and completion through the chat template, cut after the last EOS.

    What a template writes behind the EOS (ChatML: a line break) is never generated, since generation ends at EOS.
    InvalidInputError where the template has no EOS after the completion, since a model so trained would not stop.
    """
    prompt_ids = _ids(tokenizer, prompt, add_generation_prompt=True)
    whole = _ids(tokenizer, [*prompt, *completion])
    start = _common_prefix(prompt_ids, whole)
    completion_ids = whole[start:]
    if tokenizer.eos_token_id not in completion_ids:
        raise InvalidInputError(
            f"question {question_id}: the chat template puts no {tokenizer.eos_token} after the completion, so the model "
            "would not learn to stop: correct the base model's chat_template.jinja or its eos_token",
            question_id=question_id,
        )
    end = len(whole) - completion_ids[::-1].index(tokenizer.eos_token_id)
    return Example(question_id=question_id, ids=tuple(whole[:end]), prompt_tokens=start)


def check(examples: Iterable[Example], max_length: int) -> None:
    """Refuse rows that cannot be trained on as they are: too long, or nothing but EOS to learn."""
    examples = list(examples)
    longer = {example.question_id: len(example.ids) for example in examples if len(example.ids) > max_length}
    if longer:
        longest = max(longer.values())
        raise InvalidInputError(
            f"{len(longer)} rows are longer than max_length {max_length} tokens (the longest has {longest}): raise "
            f"optimizer.max_length, or leave these questions out: {_some(longer)}",
            field="optimizer.max_length",
            question_ids=",".join(list(longer)[:NAMED_ROWS]),
        )
    empty = [example.question_id for example in examples if example.trained_tokens <= 1]
    if empty:
        raise InvalidInputError(
            f"{len(empty)} rows have an empty completion, so there is nothing to learn from them: {_some(empty)}",
            field="dataset",
            question_ids=",".join(empty[:NAMED_ROWS]),
        )


def _ids(tokenizer: Tokenizer, messages: Sequence[Message], **arguments: Any) -> list[int]:
    conversation = [message.model_dump() for message in messages]
    encoded: Mapping[str, list[int]] = tokenizer.apply_chat_template(
        conversation, tokenize=True, return_dict=True, **arguments
    )
    return list(encoded["input_ids"])


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
