"""Prompts that already hold their answer. Evidence may, and in retrieval should: what counts is that it is there *as an answer*.

A prompt holds its completion if, white space aside, the completion is
- an assistant turn of the prompt, which is the last one, or answers the question that is asked last, or is long; or
- what the last message ends with, behind a line that announces an answer ("Answer:", "### Response", "Expected output:"),
  or without one if it is long; or
- long, and anywhere behind such a line.
A long completion that is in the prompt otherwise is only warned of: quoting may be the task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from burnish.schemas.base import Message
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding

LONG_CHARACTERS = 200
_KIND = r"(?:correct(?:ed)?|expected|right|final|gold|reference|known[ -]good|ideal|model)"
ANNOUNCED = re.compile(
    rf"^[\s#>*_-]*(?:the\s+)?(?:{_KIND}\s+)?(?:(?:answer|response|solution|assistant|completion)"
    rf"|{_KIND}\s+(?:output|result|label|reply))[\s*_]*[:=]?[\s*_\"'`]*\Z",
    re.IGNORECASE | re.MULTILINE,
)
CLOSING = " \t\r\n\"'`*_"


def check_prompts(records: Sequence[Record]) -> Iterable[Finding]:
    held, copied = [], []
    for record in records:
        if record.prompt and record.learnt:
            if holds_completion(record):
                held.append(record.question_id)
            elif _is_copied(record):
                copied.append(record.question_id)
    if held:
        yield finding(
            "prompt-holds-completion",
            f"{len(held)} rows have a prompt that already gives the completion as its answer: the model would learn to "
            "repeat it and know nothing. Log prompts without the answer",
            held,
        )
    if copied:
        yield finding(
            "completion-copied-from-prompt",
            f"{len(copied)} rows have a completion of {LONG_CHARACTERS} characters or more that is word for word in "
            "the prompt: right if quoting is the task, else the answer has leaked into the prompt",
            copied,
        )


def holds_completion(record: Record) -> bool:
    answer = _folded(record.learnt[-1].content)
    if not answer:
        return False
    return _is_turn(answer, record.prompt) or _is_announced(answer, record.prompt[-1].content, record.prompt)


def _is_turn(answer: str, prompt: Sequence[Message]) -> bool:
    last_question = next((_folded(m.content) for m in reversed(prompt) if m.role == "user"), None)
    for index, message in enumerate(prompt):
        if message.role == "assistant" and _folded(message.content) == answer:
            asked = _folded(prompt[index - 1].content) if index else None
            if index == len(prompt) - 1 or asked == last_question or len(answer) >= LONG_CHARACTERS:
                return True
    return False


def _is_announced(answer: str, ending: str, prompt: Sequence[Message]) -> bool:
    is_long = len(answer) >= LONG_CHARACTERS
    before = _before_ending(answer, ending)
    if before is not None and before.strip() and (is_long or ANNOUNCED.search(before)):
        return True
    return is_long and any(
        ANNOUNCED.search(message.content[: hit.start()])
        for message in prompt
        for hit in _loosely(answer).finditer(message.content)
    )


def _before_ending(answer: str, ending: str) -> str | None:
    """What comes before the answer if the text ends with it; None if it does not."""
    text = ending.rstrip(CLOSING)
    answer = answer.rstrip(CLOSING)
    if not answer or not _folded(text).endswith(answer):
        return None
    hits = [hit for hit in _loosely(answer).finditer(text) if hit.end() == len(text)]
    return text[: hits[0].start()] if hits else None


def _is_copied(record: Record) -> bool:
    answer = _folded(record.learnt[-1].content)
    return len(answer) >= LONG_CHARACTERS and any(answer in _folded(message.content) for message in record.prompt)


def _folded(text: str) -> str:
    return " ".join(text.split())


def _loosely(folded: str) -> re.Pattern[str]:
    """Matches the text whatever its white space is."""
    return re.compile(r"\s+".join(map(re.escape, folded.split(" "))))
