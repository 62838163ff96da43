"""What a stranger holds who never graded anything: a Langfuse export, and chats with thumbs. Called by the walks of tests/e2e.

The application takes bookings of rooms. Asked for JSON it often answers in prose; asked for a name or a day it is mostly right.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trace_making import written

ROOMS = ["Cedar", "Maple", "Birch", "Willow", "Aspen", "Rowan"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
GUESTS = ["Amina", "Bruno", "Chloe", "Dmitri", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Keiko", "Liam"]
WHY = [
    "We have a client visit.",
    "It is for the weekly review.",
    "Eight of us will come.",
    "We need the projector.",
    "It is about the budget.",
    "An interview takes place there.",
]
RECORD = (
    "You take bookings. Answer with one JSON object and nothing else, "
    'with the keys "room" and "day", for example {"room": "Oak", "day": "Sunday"}.'
)
BOOKING = re.compile(r"Please book (\w+) for (\w+)\.")
START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A request, what would have been right, and what was answered. system: empty for the questions in words."""

    system: str
    user: str
    right: str
    answer: str

    @property
    def fails(self) -> bool:
        return self.right not in self.answer

    @property
    def prompt(self) -> list[dict[str, str]]:
        said = [{"role": "user", "content": self.user}]
        return [{"role": "system", "content": self.system}, *said] if self.system else said


def requests(seed: int, prose: int, booked: int, others: int) -> list[Asked]:
    """Bookings that fail, in prose of four kinds; bookings that are well; other requests, which are well. No two ask the same."""
    rng = random.Random(seed)
    found: dict[str, Asked] = {}
    while len(found) < prose + booked + others:
        guest, room, day = rng.choice(GUESTS), rng.choice(ROOMS), rng.choice(DAYS)
        said = f"Hello, {guest} here. Please book {room} for {day}. {rng.choice(WHY)}"
        right = record(said)
        if len(found) < prose:
            answer = rng.choice(
                [
                    f"Sure! I have booked {room} for you on {day}.",
                    f"Hello {guest}, {room} is yours on {day}. See you then!",
                    f"Of course. The room {room} is reserved for {day}, {guest}.",
                    f"Done, {guest}: {day}, in {room}. Anything else?",
                ]
            )
            one = Asked(RECORD, said, right, answer)
        elif len(found) < prose + booked:
            one = Asked(RECORD, said, right, right)
        elif rng.random() < 0.5:
            one = Asked("", f"{said}\n\nWhich room is asked for? Answer with its name only.", room, room)
        else:
            one = Asked("", f"{said}\n\nWho writes? Answer with the first name only.", guest, guest)
        found.setdefault(said, one)
    return list(found.values())


def record(asked: str) -> str:
    """What a person would answer to a booking."""
    found = BOOKING.search(asked)
    assert found is not None, asked
    return json.dumps({"room": found[1], "day": found[2]})


def langfuse_export(folder: Path, seed: int) -> None:
    """observations.jsonl and scores.jsonl, as Langfuse's blob export has them (snake_case, input and output as strings).

    Nobody asked anything twice, as in most production traffic. Users gave thumbs. An annotator corrected most of the prose. A judge
    of theirs scored some answers.
    """
    rng = random.Random(seed)
    observations: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for number, one in enumerate(requests(seed, prose=24, booked=0, others=32)):
        call, trace = f"call-{number}", f"trace-{number}"
        begin = START + timedelta(minutes=3 * number)
        observations.append(
            {
                "id": call,
                "trace_id": trace,
                "type": "GENERATION",
                "name": "book",
                "environment": "production",
                "start_time": begin.isoformat(),
                "end_time": (begin + timedelta(milliseconds=800)).isoformat(),
                "input": json.dumps({"messages": one.prompt}),
                "output": json.dumps({"role": "assistant", "content": one.answer}),
                "provided_model_name": "small-1",
                "user_id": f"user-{number}",
                "metadata": {"tenant": "acme"},
            }
        )
        about = {"trace_id": trace, "observation_id": call, "timestamp": begin.isoformat(), "comment": None}

        def score(name: str, kind: str, source: str, about: dict[str, Any] = about, **value: Any) -> None:
            scores.append(
                {"id": f"score-{len(scores)}", "name": name, "data_type": kind, "source": source} | about | value
            )

        score("user-feedback", "BOOLEAN", "API", value=int(not one.fails))
        if rng.random() < 0.3:
            score("helpfulness", "NUMERIC", "EVAL", value=round(rng.random(), 2))
        if one.fails and number % 10:
            score("output", "CORRECTION", "ANNOTATION", string_value=one.right)
    written(folder / "observations.jsonl", observations)
    written(folder / "scores.jsonl", scores)


def chats_with_thumbs(folder: Path, seed: int) -> None:
    """chats.jsonl: conversations that end in the answer, with `feedback` up or down and no word about what would have been right."""
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(requests(seed, prose=20, booked=14, others=16)):
        for again in range(1 + one.fails):
            messages = [*one.prompt, {"role": "assistant", "content": one.answer}]
            rows.append(
                {"id": f"chat-{number}-{again}", "messages": messages, "feedback": "down" if one.fails else "up"}
            )
    written(folder / "chats.jsonl", rows)
