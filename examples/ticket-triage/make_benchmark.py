"""Write benchmark.jsonl of this example: support tickets, three kinds of question, answers known from how they were made.

    python examples/ticket-triage/make_benchmark.py > examples/ticket-triage/benchmark.jsonl

Deterministic. `triage` wants one JSON object with the right team and priority; `order-number` and `customer-name` are
what the base model can already do.
"""

from __future__ import annotations

import json
import random

TEAMS = {
    "billing": [
        "I was charged twice",
        "My invoice shows the wrong amount",
        "The refund has not reached my card",
        "You took payment for a plan I cancelled",
    ],
    "shipping": [
        "My parcel has not arrived",
        "The courier left the box at a wrong house",
        "Tracking has not moved for days",
        "The package came crushed and wet",
    ],
    "account": [
        "I cannot sign in",
        "The password reset mail never comes",
        "I want to change the email on my profile",
        "My login was locked after one try",
    ],
    "technical": [
        "The app crashes when I open it",
        "The export button does nothing",
        "The page shows error 500",
        "Sync stops halfway on my phone",
    ],
}
HIGH = ["This is urgent.", "I need this solved today.", "Our whole office is waiting.", "Please act immediately."]
NORMAL = ["No rush.", "Whenever you have time.", "This can wait until next week.", "Just letting you know."]
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
]
TRIAGE = 'You route support tickets. Answer with one JSON object and nothing else, with the keys "team" (billing, shipping, account or technical) and "priority" (high or normal).'


def ticket(rng: random.Random, team: str, complaint: str) -> tuple[str, str, str, str]:
    """(text, priority, customer's name, order number)"""
    priority = rng.choice(["high", "normal"])
    name, order = rng.choice(NAMES), str(rng.randrange(10_000, 99_999))
    return (
        f"Hello, {name} here, order {order}. {complaint}. {rng.choice(HIGH if priority == 'high' else NORMAL)}",
        priority,
        name,
        order,
    )


def questions() -> list[dict[str, object]]:
    rng = random.Random(2026)
    rows: list[dict[str, object]] = []
    for team, complaints in TEAMS.items():
        for index in range(10):
            text, priority, _, _ = ticket(rng, team, complaints[index % len(complaints)])
            expected = json.dumps({"team": team, "priority": priority})
            grader = {"name": "json_fields", "args": {"fields": {"team": "exact", "priority": "exact"}}}
            rows.append(
                row(
                    f"triage-{team}-{index}",
                    "triage",
                    [message("system", TRIAGE), message("user", text)],
                    text,
                    expected,
                    grader,
                    32,
                )
            )
        for index, complaint in enumerate(complaints):
            text, _, _, order = ticket(rng, team, complaint)
            ask = f"{text}\n\nWhich order number does this ticket name? Answer with the number only."
            rows.append(
                row(
                    f"order-{team}-{index}",
                    "order-number",
                    [message("user", ask)],
                    ask,
                    order,
                    {"name": "contains", "args": {}},
                    16,
                )
            )
            text, _, name, _ = ticket(rng, team, complaint)
            ask = f"{text}\n\nWhat is the customer's first name? Answer with the name only."
            rows.append(
                row(
                    f"name-{team}-{index}",
                    "customer-name",
                    [message("user", ask)],
                    ask,
                    name,
                    {"name": "contains", "args": {}},
                    16,
                )
            )
    return rows


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def row(
    question_id: str,
    slice_name: str,
    messages: list[dict[str, str]],
    question: str,
    expected: str,
    grader: dict[str, object],
    max_tokens: int,
) -> dict[str, object]:
    return {
        "question_id": question_id,
        "slice": slice_name,
        "messages": messages,
        "question": question,
        "evidence_files": ["tickets.csv"],
        "evidence_text": question.split("\n\n")[0],
        "expected_answer": expected,
        "grader": grader,
        "max_tokens": max_tokens,
    }


if __name__ == "__main__":
    for question in questions():
        print(json.dumps(question, ensure_ascii=False))
