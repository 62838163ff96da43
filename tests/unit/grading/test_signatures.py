"""Signatures: what an answer shows by itself, and what is no failure although it looks like one."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.grading.signatures import Said, signature

JSON = "Answer in JSON."
GERMAN = "Wie kann ich die Rechnung für das Abo ändern, und ist das für den Kunden auch in der App zu sehen?"
ENGLISH = "You can change the invoice in the app: open the settings, and it is in the list that you see on the left."


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ({"answer": "", "error": "HTTP 500"}, "error"),
        ({"answer": " \n"}, "empty"),
        ({"answer": "", "has_tool_calls": True}, None),
        ({"answer": "and then", "finish_reason": "length"}, "cut-off"),
        ({"answer": "and then", "finish_reason": "MAX_TOKENS"}, "cut-off"),
        ({"answer": "done", "finish_reason": "stop"}, None),
        ({"answer": "Sure! It is open.", "instructions": JSON}, "invalid-json"),
        ({"answer": '{"state": "open"', "instructions": JSON}, "invalid-json"),
        ({"answer": '{"state": "open"}', "instructions": JSON}, None),
        ({"answer": '["a", "b"]', "instructions": "Return a list as JSON."}, None),
        ({"answer": "plain", "instructions": "JSON is a format. Be brief."}, None),
        ({"answer": "plain", "expected_answer": '{"a": 1}'}, "invalid-json"),
        ({"answer": "plain", "expected_answer": '{"a": 1}', "expects_json": False}, None),
        ({"answer": "plain", "expects_json": True}, "invalid-json"),
        ({"answer": '{"a": "x"}', "schema": {"properties": {"a": {"type": "number"}}}}, "schema-violation"),
        ({"answer": '{"a": 1}', "schema": {"properties": {"a": {"type": "number"}}}}, None),
        ({"answer": "I'm sorry, I can't help with that."}, "refusal"),
        (
            {
                "answer": "I cannot access your account, but here is how you find the invoice yourself: open the settings."
            },
            None,
        ),
        ({"answer": "I cannot help with that:\n```sql\nSELECT 1\n```"}, None),
        ({"answer": "The plan costs ten euros a month. " * 6}, "repetition"),
        ({"answer": "The list: " + "ab, " * 60}, "repetition"),
        ({"answer": "- one item is here\n- another item is there\n- a third item too"}, None),
        ({"answer": "| --- | --- | --- |\n" * 2 + "-" * 300}, None),
        ({"question": GERMAN, "answer": ENGLISH}, "wrong-language"),
        ({"question": ENGLISH, "answer": ENGLISH}, None),
        ({"question": "Wo ist die Rechnung?", "answer": "OK"}, None),
        (
            {
                "question": "How do I change the invoice of a customer?",
                "answer": "请在设置中更改发票然后保存您的更改谢谢您的耐心等待我们会尽快处理",
            },
            "wrong-language",
        ),
        (
            {
                "question": "Переведите счёт на английский язык, пожалуйста: invoice",
                "answer": "The invoice was changed by the customer.",
            },
            None,
        ),
        ({"question": GERMAN, "answer": '{"the": "and of to in that it for with you"}'}, None),
    ],
)
def test_signatures(said: dict[str, Any], label: str | None) -> None:
    found = signature(Said(**{"answer": ""} | said))
    assert (found.label if found else None) == label


def test_an_error_is_no_failure_of_the_model() -> None:
    found = signature(Said("", error="rate limit"))
    assert found is not None
    assert not found.is_failure
