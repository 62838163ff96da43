"""Questions that say the same in other words, and questions that only look so, from tests/fixtures/paraphrases.

`tuned` is the set on which the bound was chosen; `held` was written before and is only measured. A line of a file is a question with its
paraphrases (`a | b | c`), one template with several things in it, each another question (`! What is {x|y}?`), or several templates that
ask the same with several things (`+ {x|y} | What is @? | Tell me about @.`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "fixtures/paraphrases"
CHOICE = re.compile(r"\{(.*?)\}")
AGAIN = "# crossed"  # a topic that asks again what other topics ask
Kind = Literal["paraphrase", "one template", "other thing in other words", "topic", "other"]


@dataclass(frozen=True)
class Made:
    """meaning: equal for paraphrases. family: of its templates; frame: which of them."""

    text: str
    meaning: int
    topic: str
    family: int
    frame: int


def questions(which: str) -> list[Made]:
    made: list[Made] = []
    topic = ""
    for number, line in enumerate((FOLDER / f"{which}.txt").read_text().splitlines()):
        if line.startswith("#"):
            topic = line
        else:
            made += _of_line(line, topic, number)
    return made


def _of_line(line: str, topic: str, number: int) -> list[Made]:
    if not line.startswith(("!", "+")):
        return [Made(text, 100 * number, topic, number, frame) for frame, text in enumerate(line.split(" | "))]
    [choice] = CHOICE.findall(line)
    frames = [CHOICE.sub("@", line[2:])] if line.startswith("!") else line.split(" | ")[1:]
    return [
        Made(text.replace("@", thing), 100 * number + place, topic, number, frame)
        for place, thing in enumerate(choice.split("|"))
        for frame, text in enumerate(frames)
    ]


def pairs(made: list[Made]) -> dict[Kind, list[tuple[str, str]]]:
    found: dict[Kind, list[tuple[str, str]]] = {}
    for one, other in combinations(made, 2):
        if one.topic != other.topic and AGAIN in (one.topic, other.topic):
            continue
        found.setdefault(_kind(one, other), []).append((one.text, other.text))
    return found


def _kind(one: Made, other: Made) -> Kind:
    if one.meaning == other.meaning:
        return "paraphrase"
    if one.family == other.family:
        return "one template" if one.frame == other.frame else "other thing in other words"
    return "topic" if one.topic == other.topic else "other"
