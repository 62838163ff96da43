"""What a provider asks of rows is found before they are sent, each row by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.trainer.made import assistant, dpo_rows, sft_rows, user

from burnish.schemas.base import Message
from burnish.schemas.training.hosted import PROVIDERS, HostedSpec
from burnish_trainer.data.rows import Record, Records, record_of
from burnish_trainer.preflight.checks import hosted

SPEC = HostedSpec(provider="openai", model="gpt-4.1-nano", spend_limit_usd=1)


def found(train: list[Record], validation: list[Record] | None = None) -> dict[str, list[str]]:
    """Code -> rows."""
    records = Records(train, validation or [], {})
    return {one.code: one.question_ids for one in hosted.check_rows(SPEC, records)}


@pytest.mark.parametrize("rows", [sft_rows(10), dpo_rows(10)], ids=["sft", "dpo"])
def test_good_rows_have_no_finding(rows: list[object]) -> None:
    assert found([record_of(row) for row in rows]) == {}  # type: ignore[arg-type]


def test_rows_below_the_least_are_refused() -> None:
    assert found([record_of(row) for row in sft_rows(9)]) == {"provider-too-few-rows": []}


def test_a_role_that_the_provider_does_not_know_is_named() -> None:
    rows = [record_of(row) for row in sft_rows(10)]
    rows[3] = replace(rows[3], prompt=(*user("What?"), Message(role="tool", content="42")))
    assert found(rows) == {"provider-role-unknown": ["q3"]}


def test_several_messages_to_learn_are_named() -> None:
    rows = [record_of(row) for row in sft_rows(10)]
    rows[4] = replace(rows[4], answers=((*assistant("one"), *user("two?"), *assistant("two")),))
    assert found(rows) == {"provider-several-answers": ["q4"]}


def test_answers_in_a_prompt_are_told_of() -> None:
    """Nothing in a provider's form says that only the last one is to be learnt. A pair's prompt is not learnt."""
    earlier = (*user("one?"), *assistant("1"), *user("two?"))
    for made, expected in ((sft_rows(10), {"provider-learns-earlier-answers": ["q6"]}), (dpo_rows(10), {})):
        rows = [record_of(row) for row in made]  # type: ignore[attr-defined]
        rows[6] = replace(rows[6], prompt=earlier)
        assert found(rows) == expected


def test_a_file_that_the_provider_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PROVIDERS["openai"], largest_file_bytes=2000)
    monkeypatch.setattr(hosted, "PROVIDERS", {"openai": small})
    rows = [record_of(row) for row in sft_rows(10)]
    assert found(rows) == {"provider-file-too-large": []}
    assert found(rows[:10], rows[:1]) == {"provider-file-too-large": []}


def test_more_rows_than_the_provider_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "PROVIDERS", {"openai": replace(PROVIDERS["openai"], most_rows=11)})
    rows = [record_of(row) for row in sft_rows(12)]
    assert (found(rows), found(rows[:11])) == ({"provider-too-many-rows": []}, {})


def test_rows_that_are_too_long_are_named() -> None:
    rows = [record_of(row) for row in sft_rows(10)]
    rows[2] = replace(rows[2], prompt=tuple(user("word " * 140_000)))
    rows[5] = replace(rows[5], prompt=tuple(user("x" * 200_000)))  # many bytes, few tokens
    spec = HostedSpec(provider="vertex", model="gemini-2.5-flash", spend_limit_usd=1)

    def count(row: Record) -> int:
        return sum(len(message.content.split()) for message in row.messages)

    (found,) = hosted.check_lengths(spec, Records(rows, [], {}), count)
    assert (found.code, found.question_ids) == ("provider-row-too-long", ["q2"])
    assert list(hosted.check_lengths(SPEC, Records(rows, [], {}), count)) == []
