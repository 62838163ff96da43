"""What a teacher is asked: the prompt of each failure that a reviewer would see, exactly as the model was sent it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from burnish.curation.targets import ANSWERED, NOT_PLAIN, is_answered
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key
from burnish.schemas.review import ReviewPrompt
from burnish.schemas.runlog import RunLogLine

ROWS_AT_ONCE = 500
NONE: Mapping[str, Collection[str]] = {}


def review_prompts(
    log: RunLogReader, rows: np.ndarray, answered: Mapping[str, Collection[str]] = NONE, limit: int | None = None
) -> Iterator[ReviewPrompt]:
    """The prompts of these rows, in their order; `limit` of those that a teacher can be asked (None: all).

    answered: question id -> keys of its prompts that need not be asked any more. What no teacher can be asked comes with its reason.
    """
    left = limit
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[start : start + ROWS_AT_ONCE]
        lines = dict(zip(np.unique(block).tolist(), log.lines(block), strict=True))
        for row in block.tolist():
            prompt = _prompt(lines[row])
            if prompt.prompt_key in answered.get(prompt.question_id, ()):
                continue
            if left is not None and not prompt.problem:
                if left == 0:
                    return
                left -= 1
            yield prompt


def _prompt(line: RunLogLine) -> ReviewPrompt:
    messages = prompt_messages(line)
    problem = NOT_PLAIN if not is_plain(line) else ANSWERED if is_answered(messages) else ""
    return ReviewPrompt(
        question_id=line.question_id,
        failure_label=line.failure_label or "",
        slice=line.slice,
        messages=messages,
        prompt_key=message_key(messages),
        problem=problem,
    )
