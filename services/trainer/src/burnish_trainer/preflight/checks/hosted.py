"""Whether a provider takes these rows, in the form that it wants them in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import orjson

from burnish.schemas.training.hosted import PROVIDERS, HostedSpec
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record, Records
from burnish_trainer.preflight.registry import finding

ROLES = ("system", "user", "assistant")
ROW_BYTES = 120  # of the form around a row's text, and of a message's


def check_rows(hosted: HostedSpec, records: Records) -> Iterable[Finding]:
    provider, name = PROVIDERS[hosted.provider], hosted.provider
    if len(records.train) < provider.least_rows:
        yield finding(
            "provider-too-few-rows",
            f"{name} wants {provider.least_rows} training rows and the dataset has {len(records.train)}: correct more failures",
        )
    odd = [one.question_id for one in records.all if any(message.role not in ROLES for message in one.messages)]
    if odd:
        yield finding(
            "provider-role-unknown",
            f"{len(odd)} rows have a message whose role {name} does not know; it knows {', '.join(ROLES)}",
            odd,
        )
    long = [one.question_id for one in records.all if any(len(answer) != 1 for answer in one.answers)]
    if long:
        yield finding(
            "provider-several-answers",
            f"{len(long)} rows have more than one message to learn, and {name} takes one assistant's message",
            long,
        )
    supervised = [one for one in records.all if len(one.answers) == 1]  # of a pair, the prompt is not learnt
    earlier = [one.question_id for one in supervised if any(message.role == "assistant" for message in one.prompt)]
    if earlier:
        yield finding(
            "provider-learns-earlier-answers",
            f"{len(earlier)} rows have answers in their prompts, and {name} learns these too, since nothing marks the last one: leave the "
            "rows out if earlier answers were wrong, or train here",
            earlier,
        )
    for split, rows in (("training", records.train), ("validation", records.validation)):
        if provider.most_rows and len(rows) > provider.most_rows:
            yield finding(
                "provider-too-many-rows",
                f"{name} takes {provider.most_rows:,} {split} rows and the dataset has {len(rows):,}: train on fewer",
            )
        size_bytes = _size_bytes(rows)
        if size_bytes > provider.largest_file_bytes:
            yield finding(
                "provider-file-too-large",
                f"the {split} rows are about {size_bytes / 1e6:,.0f} MB as {name} wants them, and it takes "
                f"{provider.largest_file_bytes / 1e6:,.0f} MB: train on fewer rows",
            )


def check_lengths(hosted: HostedSpec, records: Records, count: Callable[[Record], int]) -> Iterable[Finding]:
    """count: tokens of a row. A token has at least one byte, so only rows of many bytes are counted."""
    limit = PROVIDERS[hosted.provider].longest_row_tokens
    if limit is None:
        return
    large = [row for row in records.all if _size_bytes([row]) > limit]
    tokens = {row.question_id: found for row in large if (found := count(row)) > limit}
    if tokens:
        yield finding(
            "provider-row-too-long",
            f"{len(tokens)} rows have up to {max(tokens.values()):,} tokens by the base model's tokenizer, and {hosted.provider} takes "
            f"{limit:,} a row: leave them out",
            tokens,
        )


def _size_bytes(rows: Sequence[Record]) -> int:
    messages = [message for row in rows for message in row.messages]
    return sum(len(orjson.dumps(message.content)) + ROW_BYTES for message in messages) + ROW_BYTES * len(rows)
