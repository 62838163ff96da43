"""Rows as token ids by the model's own chat template, and the checks that a row must pass before any step is taken.

Uses whatever tokenizer it is given; imports no model library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from burnish.errors import InvalidInputError
from burnish.schemas.base import Frozen, Message
from burnish_trainer.data.rows import Record

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
class EncodedRow:
    """A row as token ids. examples: of its completion, or of chosen and rejected, which have their prompt in common.

    label: of a KTO row, whether its answer is wanted. source: where its answer comes from, as the dataset says it.
    """

    examples: tuple[Example, ...]
    label: bool | None = None
    source: str = "correction"

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.examples[0].ids[: self.examples[0].prompt_tokens]

    @property
    def tokens(self) -> int:
        return sum(len(example.ids) for example in self.examples)

    @property
    def trained_tokens(self) -> int:
        return sum(example.trained_tokens for example in self.examples)


@dataclass(frozen=True)
class Rendered:
    """A sequence by the chat template, as text. prompt: with the generation prompt, as it is served."""

    question_id: str
    prompt: str
    whole: str


@dataclass(frozen=True)
class Encoding:
    """A sequence as ids, with all that the template writes. start: the first id that is not the prompt's; end: behind the
    last EOS from there on, None if there is none."""

    question_id: str
    ids: tuple[int, ...]
    start: int
    end: int | None

    def example(self) -> Example | None:
        """None if the completion has no EOS."""
        if self.end is None:
            return None
        return Example(question_id=self.question_id, ids=self.ids[: self.end], prompt_tokens=self.start)


def encode_records(tokenizer: Tokenizer, records: Sequence[Record], max_length: int) -> list[EncodedRow]:
    """Rows through the chat template, cut after the last EOS, for the worker.

    What a template writes behind the EOS (ChatML: a line break) is never generated, since generation ends at EOS.
    InvalidInputError if a row has no EOS, is too long, or has nothing but EOS to learn. Preflight has refused such rows, and
    said what to do; that one comes here means that the base model or the dataset has been changed since.
    """
    encodings = iter(encode_all(tokenizer, render_all(tokenizer, records)))
    found = [encoded_row([next(encodings) for _ in record.answers], record) for record in records]
    rows = [row for row in found if row is not None]
    examples = [example for row in rows for example in row.examples]
    endless = [record.question_id for record, row in zip(records, found, strict=True) if row is None]
    if unfit := {*endless, *longer_than(examples, max_length), *unlearnable(examples)}:
        named = sorted(unfit)[:NAMED_ROWS]
        raise InvalidInputError(
            f"{len(unfit)} rows cannot be trained on, since they are longer than max_length {max_length}, have no "
            f"{tokenizer.eos_token} behind the completion, or nothing before it: {', '.join(named)}. Queue the job again: "
            "its preflight says what is wrong with each",
            field="dataset",
            question_ids=",".join(named),
        )
    return rows


def encoded_row(encodings: Sequence[Encoding], record: Record) -> EncodedRow | None:
    """The row of a record's sequences; None if one of its completions has no EOS.

    A template may render the end of a prompt by the completion that follows: what differs counts as completion in both.
    """
    examples = [example for encoding in encodings if (example := encoding.example())]
    if not examples or len(examples) < len(encodings):
        return None
    start = min(example.prompt_tokens for example in examples)
    cut = tuple(example.model_copy(update={"prompt_tokens": start}) for example in examples)
    return EncodedRow(cut, record.label, record.source)


def render_all(tokenizer: Tokenizer, records: Sequence[Record]) -> list[Rendered]:
    """Every sequence of the rows, one an answer, by the chat template. jinja2.TemplateError if the template refuses one."""
    sequences = [(record, answer) for record in records for answer in record.answers]
    prompts = _render(tokenizer, [record.prompt for record, _ in sequences], add_generation_prompt=True)
    whole = _render(tokenizer, [[*record.prompt, *answer] for record, answer in sequences])
    return [Rendered(record.question_id, *texts) for (record, _), *texts in zip(sequences, prompts, whole, strict=True)]


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


def count_text(tokenizer: Tokenizer, records: Sequence[Record]) -> int:
    """Tokens of the messages' text, without any template: each sequence of a row with its prompt."""
    texts = list(dict.fromkeys(message.content for record in records for message in record.messages))
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    tokens = {text: len(found) for text, found in zip(texts, ids, strict=True)}
    sequences = ([*record.prompt, *answer] for record in records for answer in record.answers)
    return sum(tokens[message.content] for sequence in sequences for message in sequence)


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


def _render(tokenizer: Tokenizer, conversations: Sequence[Sequence[Message]], **arguments: Any) -> list[str]:
    plain = [[message.model_dump() for message in conversation] for conversation in conversations]
    rendered: list[str] = tokenizer.apply_chat_template(plain, tokenize=False, **arguments) if plain else []
    return rendered


def _common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids are the same: a template may render the end of a prompt otherwise once a completion follows."""
    for position, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return position
    return min(len(one), len(other))
