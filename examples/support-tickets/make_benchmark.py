"""Write benchmark.jsonl of this example: support tickets and three kinds of question, whose answers are known by construction.

    python examples/support-tickets/make_benchmark.py > examples/support-tickets/benchmark.jsonl

Deterministic. `record` asks for one JSON object with the right values in the right fields, which the base model never
gives. `order-number` and `customer-name` ask for the same facts in words, which it mostly gets right.
"""

from __future__ import annotations

import json
import random

COMPLAINTS = [
    "I was charged twice.",
    "My invoice shows the wrong amount.",
    "The refund has not reached my card.",
    "You took payment for a plan I cancelled.",
    "My parcel has not arrived.",
    "The courier left the box at a wrong house.",
    "Tracking has not moved for days.",
    "The package came crushed and wet.",
    "I cannot sign in.",
    "The password reset mail never comes.",
    "The app crashes when I open it.",
    "The export button does nothing.",
]
CLOSINGS = ["Please help.", "I need this solved today.", "No rush.", "Just letting you know.", "Thank you."]
NAMES = [
    "Amina",
    "Bruno",
    "Chloe",
    "Dmitri",
    "Elena",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Keiko",
    "Liam",
    "Maya",
    "Nils",
    "Olga",
    "Pedro",
    "Ruth",
    "Sven",
]
RECORD = (
    "You file support tickets. Answer with one JSON object and nothing else, "
    'with the keys "customer" (first name) and "order" (number as text).'
)
SLICES = {"record": 40, "order-number": 24, "customer-name": 24}


def questions() -> list[dict[str, object]]:
    rng = random.Random(2026)
    return [question(rng, name, index) for name, count in SLICES.items() for index in range(count)]


def question(rng: random.Random, slice_name: str, index: int) -> dict[str, object]:
    customer, order = rng.choice(NAMES), str(rng.randrange(10_000, 99_999))
    ticket = f"Hello, {customer} here, order {order}. {rng.choice(COMPLAINTS)} {rng.choice(CLOSINGS)}"
    contains: dict[str, object] = {"name": "contains", "args": {}}
    if slice_name == "record":
        expected = json.dumps({"customer": customer, "order": order})
        grader: dict[str, object] = {"name": "json_fields", "args": {"fields": {"customer": "exact", "order": "exact"}}}
        messages = [{"role": "system", "content": RECORD}, {"role": "user", "content": ticket}]
        return row(slice_name, index, messages, ticket, expected, grader, 32)
    if slice_name == "order-number":
        ask, expected = "Which order number does this ticket name? Answer with the number only.", order
    else:
        ask, expected = "What is the customer's first name? Answer with the name only.", customer
    return row(slice_name, index, [{"role": "user", "content": f"{ticket}\n\n{ask}"}], ticket, expected, contains, 16)


def row(
    slice_name: str,
    index: int,
    messages: list[dict[str, str]],
    ticket: str,
    expected: str,
    grader: dict[str, object],
    max_tokens: int,
) -> dict[str, object]:
    return {
        "question_id": f"{slice_name}-{index:02}",
        "slice": slice_name,
        "messages": messages,
        "question": messages[-1]["content"],
        "evidence_text": ticket,
        "evidence_files": [f"tickets/{slice_name}-{index:02}.txt"],
        "expected_answer": expected,
        "grader": grader,
        "max_tokens": max_tokens,
    }


if __name__ == "__main__":
    for item in questions():
        print(json.dumps(item, ensure_ascii=False))
