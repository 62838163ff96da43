"""Export forms, held to the examples in the providers' documentation."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from burnish.curation.output.exports import FORMS, export, parse_rows
from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.dataset import DpoRow, ExportForm, KtoRow, SftRow

SYSTEM = Message(role="system", content="Be brief.")
USER = Message(role="user", content="Why?")
RIGHT = [Message(role="assistant", content="Because.")]
WRONG = [Message(role="assistant", content="No idea.")]
SFT = SftRow(question_id="q1", source="correction", prompt=[SYSTEM, USER], completion=RIGHT)
DPO = DpoRow(question_id="q1", source="correction", prompt=[SYSTEM, USER], chosen=RIGHT, rejected=WRONG)
KTO = KtoRow(question_id="q1", source="logged", prompt=[SYSTEM, USER], completion=WRONG, label=False)
PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
CHOSEN = [{"role": "assistant", "content": "Because."}]
REJECTED = [{"role": "assistant", "content": "No idea."}]
VERTEX_USER = {"role": "user", "parts": [{"text": "Why?"}]}


def model_turn(text: str) -> dict[str, Any]:
    return {"role": "model", "parts": [{"text": text}]}


def one(row: SftRow | DpoRow | KtoRow, form: ExportForm) -> dict[str, Any]:
    [line] = export([row], form)
    assert line.endswith(b"\n")
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("rows", SFT.model_dump(mode="json")),
        ("prompt-completion", {"prompt": "Be brief.\n\nWhy?", "completion": "Because."}),
        ("openai-messages", {"messages": PROMPT + CHOSEN}),
        ("together", {"messages": PROMPT + CHOSEN}),
        (
            "vertex",
            {
                "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
                "contents": [VERTEX_USER, model_turn("Because.")],
            },
        ),
    ],
)
def test_sft_forms(form: ExportForm, expected: dict[str, Any]) -> None:
    assert one(SFT, form) == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("prompt-completion", {"prompt": "Be brief.\n\nWhy?", "completion": "Because."}),
        ("openai-messages", {"messages": PROMPT + CHOSEN}),
        ("dpo", {"prompt": PROMPT, "chosen": CHOSEN, "rejected": REJECTED}),
        (
            "together",
            {"input": {"messages": PROMPT}, "preferred_output": CHOSEN, "non_preferred_output": REJECTED},
        ),
        (
            "vertex",
            {
                "system_instruction": {"parts": [{"text": "Be brief."}]},
                "contents": [VERTEX_USER],
                "completions": [
                    {"score": 1, "completion": model_turn("Because.")},
                    {"score": 0, "completion": model_turn("No idea.")},
                ],
            },
        ),
    ],
)
def test_dpo_forms(form: ExportForm, expected: dict[str, Any]) -> None:
    assert one(DPO, form) == expected


def test_every_form_is_there() -> None:
    assert set(FORMS) == set(get_args(ExportForm))


def test_pairs_cannot_come_from_sft() -> None:
    with pytest.raises(InvalidInputError, match="--format dpo"):
        one(SFT, "dpo")


def test_kto_forms() -> None:
    assert one(KTO, "rows") == KTO.model_dump(mode="json")
    assert one(KTO, "kto") == {"prompt": PROMPT, "completion": REJECTED, "label": False}
    assert list(parse_rows(KTO.model_dump_json().encode() + b"\n", "kto")) == [KTO]


@pytest.mark.parametrize("form", ["prompt-completion", "openai-messages", "dpo", "together", "vertex"])
def test_an_unwanted_answer_is_never_exported_as_one_to_learn(form: ExportForm) -> None:
    with pytest.raises(InvalidInputError, match="export it as kto or as rows"):
        one(KTO, form)


@pytest.mark.parametrize("row", [SFT, DPO])
def test_judged_answers_come_from_kto_alone(row: SftRow | DpoRow) -> None:
    with pytest.raises(InvalidInputError, match="--format kto"):
        one(row, "kto")


def test_no_system_text_no_system_field() -> None:
    assert set(one(SFT.model_copy(update={"prompt": [USER]}), "vertex")) == {"contents"}


def test_a_longer_dialogue_names_its_speakers_in_plain_text() -> None:
    dialogue = SFT.model_copy(update={"prompt": [USER, *RIGHT, Message(role="user", content="Sure?")]})
    assert one(dialogue, "prompt-completion")["prompt"] == "User: Why?\n\nAssistant: Because.\n\nUser: Sure?"


@pytest.mark.parametrize("form", ["together", "vertex"])
def test_a_role_that_the_provider_has_not_is_refused(form: ExportForm) -> None:
    tool = SFT.model_copy(update={"prompt": [USER, Message(role="tool", content="42")]})
    with pytest.raises(InvalidInputError, match=r"question q1: .* has no role 'tool'"):
        one(tool, form)
