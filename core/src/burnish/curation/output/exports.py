"""Dataset rows in the JSONL forms of other tools and providers.

Sources: OpenAI "Supervised fine-tuning" and "Direct preference optimization"; Together AI "Data preparation" and
"Preference fine-tuning"; Google Cloud "Prepare supervised fine-tuning data" and "Prepare preference tuning data for
Gemini models"; TRL "Dataset formats and types".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.dataset import DatasetFormat, DpoRow, ExportForm, KtoRow, SftRow

Row = SftRow | DpoRow | KtoRow
SCHEMAS: dict[DatasetFormat, type[Row]] = {"sft": SftRow, "dpo": DpoRow, "kto": KtoRow}
VERTEX_ROLES = {"user": "user", "assistant": "model"}
CHAT_ROLES = ("system", "user", "assistant")


def parse_rows(data: bytes, dataset_format: DatasetFormat) -> Iterator[Row]:
    """The rows of a stored train.jsonl or validation.jsonl."""
    schema = SCHEMAS[dataset_format]
    return (schema.model_validate_json(line) for line in data.splitlines() if line)


def export(rows: Iterable[Row], form: ExportForm) -> Iterator[bytes]:
    """One JSONL line a row.

    rows is the stored row itself, with question_id and source. prompt-completion and openai-messages are supervised forms: of a DPO row they take the chosen answer. together and
    vertex follow the dataset: supervised from sft, preference pairs from dpo. dpo is pairs only, and kto judged answers
    only. InvalidInputError where a row cannot be put so (of a kto row all but rows and kto: as a supervised example an
    unwanted answer would be learnt), and on a role that the provider has no word for.
    """
    convert = FORMS[form]
    for row in rows:
        yield orjson.dumps(convert(row), option=orjson.OPT_APPEND_NEWLINE)


def stored(row: Row) -> dict[str, Any]:
    return row.model_dump(mode="json")


def prompt_completion(row: Row) -> dict[str, Any]:
    """Plain text on both sides: {"prompt": str, "completion": str}. System and user texts stand a blank line apart; a longer dialogue names its speakers."""
    return {"prompt": _plain(row.prompt), "completion": _right(row)[0].content}


def openai_messages(row: Row) -> dict[str, Any]:
    return {"messages": _chat([*row.prompt, *_right(row)])}


def dpo(row: Row) -> dict[str, Any]:
    """TRL's conversational preference form."""
    pair = _pair(row, "dpo")
    return {"prompt": _chat(pair.prompt), "chosen": _chat(pair.chosen), "rejected": _chat(pair.rejected)}


def kto(row: Row) -> dict[str, Any]:
    """TRL's conversational form of unpaired preferences."""
    if not isinstance(row, KtoRow):
        raise InvalidInputError(
            "this dataset does not say of single answers whether they are wanted, so it cannot be exported as kto: build one "
            "with `burnish dataset build --format kto`",
            form="kto",
        )
    return {"prompt": _chat(row.prompt), "completion": _chat(row.completion), "label": row.label}


def together(row: Row) -> dict[str, Any]:
    _check_roles(row, CHAT_ROLES, "Together")
    if isinstance(row, SftRow):
        return openai_messages(row)
    pair = _pair(row, "together")
    return {
        "input": {"messages": _chat(pair.prompt)},
        "preferred_output": _chat(pair.chosen),
        "non_preferred_output": _chat(pair.rejected),
    }


def vertex(row: Row) -> dict[str, Any]:
    _check_roles(row, CHAT_ROLES, "Vertex")
    system = [{"text": message.content} for message in row.prompt if message.role == "system"]
    contents = [_vertex_turn(message) for message in row.prompt if message.role != "system"]
    if isinstance(row, SftRow):
        body = {"contents": [*contents, *map(_vertex_turn, row.completion)]}
        return ({"systemInstruction": {"role": "system", "parts": system}} if system else {}) | body
    pair = _pair(row, "vertex")
    completions = [
        {"score": score, "completion": _vertex_turn(answer[0])}
        for score, answer in ((1, pair.chosen), (0, pair.rejected))
    ]
    return ({"system_instruction": {"parts": system}} if system else {}) | {
        "contents": contents,
        "completions": completions,
    }


FORMS: dict[ExportForm, Callable[[Row], dict[str, Any]]] = {
    "rows": stored,
    "prompt-completion": prompt_completion,
    "openai-messages": openai_messages,
    "dpo": dpo,
    "kto": kto,
    "together": together,
    "vertex": vertex,
}


def _right(row: Row) -> list[Message]:
    if isinstance(row, KtoRow):
        raise _judged("a supervised form")
    return row.completion if isinstance(row, SftRow) else row.chosen


def _pair(row: Row, form: ExportForm) -> DpoRow:
    if isinstance(row, SftRow):
        raise InvalidInputError(
            "an sft dataset has no rejected answers, so it cannot be exported as dpo: build one with `burnish dataset build --format dpo`",
            form=form,
        )
    if isinstance(row, KtoRow):
        raise _judged(form)
    return row


def _judged(form: str) -> InvalidInputError:
    return InvalidInputError(
        f"a kto dataset has single answers, wanted and unwanted, so it cannot be exported as {form}: export it as kto or as "
        "rows, or build one with `burnish dataset build --format sft` (or dpo)",
        form=form,
    )


def _chat(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _plain(messages: list[Message]) -> str:
    if [m.role for m in messages] in (["user"], ["system", "user"]):
        return "\n\n".join(message.content for message in messages)
    return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages)


def _vertex_turn(message: Message) -> dict[str, Any]:
    return {"role": VERTEX_ROLES[message.role], "parts": [{"text": message.content}]}


def _check_roles(row: Row, allowed: tuple[str, ...], provider: str) -> None:
    for message in row.prompt:
        if message.role not in allowed:
            raise InvalidInputError(
                f"question {row.question_id}: {provider}'s form has no role {message.role!r}; it knows {', '.join(allowed)}",
                question_id=row.question_id,
            )
