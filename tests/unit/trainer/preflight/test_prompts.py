"""When a prompt holds its completion: as an answer, not as evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.trainer.made import assistant, user

from burnish.schemas.base import Message
from burnish.schemas.dataset import SftRow
from burnish_trainer.data.rows import record_of
from burnish_trainer.preflight.checks.prompts import LONG_CHARACTERS, holds_completion

LONG = "the whole of the clause " * 12


def holds(prompt: list[Message], completion: str) -> bool:
    row = SftRow(question_id="q", source="correction", prompt=prompt, completion=assistant(completion))
    return holds_completion(record_of(row))


HELD = {
    "answer line": (user("Capital of France?\nAnswer: Paris"), "Paris"),
    "in quotes, with a full stop of space": (user('Capital?\n**Expected output:** "Paris"  '), "Paris"),
    "heading": (user("Capital?\n### Response:\n\nParis"), "Paris"),
    "other white space": (user('Fill in.\nCorrect answer: {"a":   1,\n "b": 2}'), '{"a": 1, "b": 2}'),
    "last turn": ([*user("Capital?"), *assistant("Paris")], "Paris"),
    "same question asked again": ([*user("Capital?"), *assistant("Paris"), *user("Capital?")], "Paris"),
    "long, at the end, unannounced": (user(f"What does it say?\n\n{LONG}"), LONG),
    "long, announced, in the middle": (user(f"Answer:\n{LONG}\n\nNow shorten nothing."), LONG),
    "long turn": ([*user("Read it"), *assistant(LONG), *user("Again")], LONG),
}
CLEAN = {
    "evidence with the answer, question last": (user("# os/path.py\ndef join(a, b): …\n\nWhich function?"), "join"),
    "evidence last": (user("Which city?\n\nThe capital of France is Paris"), "Paris"),
    "result in a log": (user("What came out?\n\nrun 7\nresult: 42"), "42"),
    "few shots of a label": (user("Text: good\nAnswer: positive\n\nText: great\nAnswer:"), "positive"),
    "few shots as turns": ([*user("good"), *assistant("positive"), *user("great")], "positive"),
    "keys of the answer in the instruction": (user('Answer only with JSON: "file" and "symbol".'), '{"file": "a"}'),
    "the answer alone": (user("Paris"), "Paris"),
    "quoted from evidence": (user(f"§ 1 {LONG} § 2 None.\n\nQuote § 1."), LONG),
    "word that ends with it": (user("Answer: unhappy"), "happy"),
}


@pytest.mark.parametrize("name", HELD)
def test_it_stands_there_as_an_answer(name: str) -> None:
    assert holds(*HELD[name])


@pytest.mark.parametrize("name", CLEAN)
def test_it_stands_there_as_evidence_or_not_at_all(name: str) -> None:
    assert not holds(*CLEAN[name])


@given(st.text(st.sampled_from("ab, .\n"), min_size=1, max_size=30), st.text(min_size=1, max_size=LONG_CHARACTERS - 1))
def test_a_short_answer_without_announcement_never_counts(prompt: str, answer: str) -> None:
    assert not holds(user(f"{prompt}: {answer}"), answer)
