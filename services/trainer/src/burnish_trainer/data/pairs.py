"""Preference pairs as token ids: what DPO, ORPO and SimPO train on. No model library is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burnish.schemas.dataset import DpoRow
from burnish.schemas.job import JobSpec
from burnish_trainer.data.batches import Plan, make_plan
from burnish_trainer.data.rows import Rows
from burnish_trainer.data.tokens import Example, Tokenizer, check, encode


@dataclass(frozen=True)
class Pair:
    """Two sequences that are one as far as `prompt_tokens` of each."""

    chosen: Example
    rejected: Example

    @property
    def both(self) -> tuple[Example, Example]:
        return self.chosen, self.rejected


@dataclass(frozen=True)
class Pairs:
    """Every row of a dataset version. train is never empty; validation may be."""

    train: list[Pair]
    validation: list[Pair]

    @property
    def examples(self) -> list[Example]:
        return [example for pair in (*self.train, *self.validation) for example in pair.both]


def encode_pairs(tokenizer: Tokenizer, rows: Rows[DpoRow], max_length: int) -> Pairs:
    """InvalidInputError names the rows that cannot be trained on as they are: nothing is cut."""
    train, validation = ([_pair(tokenizer, row) for row in split] for split in (rows.train, rows.validation))
    pairs = Pairs(train, validation)
    check(pairs.examples, max_length)
    return pairs


def plan_pairs(pairs: Sequence[Pair], spec: JobSpec) -> Plan:
    """A pair counts as the tokens of both its sequences."""
    return make_plan(
        [sum(len(example.ids) for example in pair.both) for pair in pairs],
        [sum(example.trained_tokens for example in pair.both) for pair in pairs],
        spec.optimizer,
        spec.seed,
        spec.device_count,
    )


def _pair(tokenizer: Tokenizer, row: DpoRow) -> Pair:
    """A template may render the end of a prompt by the completion that follows: what differs counts as completion in both."""
    chosen, rejected = (encode(tokenizer, row.question_id, row.prompt, end) for end in (row.chosen, row.rejected))
    start = min(chosen.prompt_tokens, rejected.prompt_tokens)
    return Pair(*(example.model_copy(update={"prompt_tokens": start}) for example in (chosen, rejected)))
