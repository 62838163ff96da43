"""Who speaks when: a prompt ends with the one who asks, and what is learnt is said by the assistant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from burnish.schemas.base import Message
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding

ASKING = ("user", "tool")


def check_turns(records: Sequence[Record]) -> Iterable[Finding]:
    foreign = [record.question_id for record in records if not all(map(by_assistant, record.answers))]
    if foreign:
        yield finding(
            "completion-not-by-assistant",
            f"the completion of {len(foreign)} rows does not begin and end with an assistant message: only what the "
            "assistant says is learnt",
            foreign,
        )
    wrong = {record.question_id: fault for record in records if (fault := _fault(record))}
    if wrong:
        name, fault = next(iter(wrong.items()))
        yield finding("roles-out-of-order", f"{len(wrong)} rows have turns out of order ({name}: {fault})", wrong)


def by_assistant(answer: Sequence[Message]) -> bool:
    """Whether it begins and ends with the assistant."""
    return not answer or (answer[0].role == answer[-1].role == "assistant")  # no answer at all is field-empty


def _fault(record: Record) -> str | None:
    roles = [message.role for message in record.prompt]
    if not roles:
        return None  # field-empty
    if roles[-1] not in ASKING:
        return f"the prompt ends with the {roles[-1]}, not with user or tool"
    return next(filter(None, (_turn_fault([*roles, *(m.role for m in answer)]) for answer in record.answers)), None)


def _turn_fault(roles: Sequence[str]) -> str | None:
    if "system" in roles[1:]:
        return f"message {roles.index('system', 1) + 1} is a system message; it belongs first"
    repeated = next((one for one, other in pairwise(roles) if one == other != "tool"), None)
    return f"two {repeated} messages in a row: join them" if repeated else None
