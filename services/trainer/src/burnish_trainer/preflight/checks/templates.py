"""The chat template: is it there, is it what serving renders with, and does a row as trained begin as its prompt is served.

Serving is vLLM on the same folder: it renders with the template that transformers loads from there, with a generation
prompt, and hands content over as a list of parts if the template itself loops over `content`.
Source: vllm/renderers/hf.py (resolve_chat_template, resolve_chat_template_content_format).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from burnish.schemas.base import Message
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.data.tokens import Rendered, Tokenizer, render_all
from burnish_trainer.preflight.checks.turns import by_assistant
from burnish_trainer.preflight.registry import finding

PROBE = (
    Message(role="system", content="Probe of the system's words."),
    Message(role="user", content="Probe of the user's words."),
    Message(role="assistant", content="Probe of the assistant's words."),
)
LOOPS_OVER_CONTENT = re.compile(r"for\s+\w+\s+in\s+\w+(?:\.content|\[['\"]content['\"]\])")
FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")  # each may hold one
SAMPLED_ROWS = 50
AS_TEXT = ("system", "user")  # roles whose content a template has no reason to rewrite; a tool's may become JSON


def check_template(tokenizer: Tokenizer, folder: Path) -> Iterable[Finding]:
    """Of the base model alone."""
    template = tokenizer.chat_template
    if not template:
        yield finding(
            "chat-template-missing",
            f"{folder.name} has no chat_template.jinja, so neither training nor vLLM can render a chat: use an "
            "instruction-tuned base model, or put its template beside it and record the model again",
        )
        return
    others = [name for name, text in folder_templates(folder).items() if not _is_same(text, template)]
    if others:
        yield finding(
            "chat-template-unlike-serving",
            f"{', '.join(others)} holds another chat template than the one that training renders with: an engine that "
            "reads it serves other prompts than were trained. Keep one, and record the base model again",
        )
    if "strftime_now" in _text(template):
        yield finding(
            "chat-template-dated",
            "the chat template writes the date of the day into every prompt: rows are trained with today's, served with "
            "another",
        )


def folder_templates(folder: Path) -> dict[str, Any]:
    """File name -> the chat template in it, of every file in which an engine may look."""
    found: dict[str, Any] = {}
    for name in FILES:
        path = folder / name
        if path.is_file():
            text = path.read_text("utf-8")
            template = text if path.suffix == ".jinja" else json.loads(text).get("chat_template")
            if template:
                found[name] = template
    return found


def control_tokens(tokenizer: Tokenizer, special_tokens: Iterable[str]) -> list[str]:
    """The special tokens that the template writes around messages."""
    for probe in (PROBE, PROBE[1:]):
        try:
            (rendered,) = render_all(tokenizer, [Record("probe", "probe", probe[:-1], (probe[-1:],))])
        except TemplateError:
            continue  # some templates refuse a system message
        return [token for token in special_tokens if token and token in rendered.whole + rendered.prompt]
    return []


def render_records(tokenizer: Tokenizer, records: Sequence[Record]) -> tuple[dict[int, list[Rendered]], list[Finding]]:
    """Index of the record -> its sequences as text, of those that the template takes; and which conversations it refuses."""
    conversations = {index: record for index, record in enumerate(records) if is_conversation(record)}
    try:
        texts = iter(render_all(tokenizer, list(conversations.values())))
        return {index: [next(texts) for _ in record.answers] for index, record in conversations.items()}, []
    except TemplateError:
        pass  # one by one, to find which
    rendered: dict[int, list[Rendered]] = {}
    refused: dict[str, str] = {}
    for index, record in conversations.items():
        try:
            rendered[index] = render_all(tokenizer, [record])
        except TemplateError as error:
            refused[record.question_id] = str(error)
    name, reason = next(iter(refused.items()))
    message = f"the chat template refuses {len(refused)} rows ({name}: {reason})"
    return rendered, [finding("chat-template-fails", message, refused)]


def is_conversation(record: Record) -> bool:
    """Whether someone asks and the assistant answers. fields.py and turns.py tell of the others, which are not rendered."""
    return bool(record.prompt) and all(answer and by_assistant(answer) for answer in record.answers)


def check_rendered(records: Sequence[Record], rendered: dict[int, list[Rendered]]) -> Iterable[Finding]:
    """Row by row: every message's words are in the text, and the prompt as served is how the row begins."""
    pairs = [(records[index], texts) for index, texts in rendered.items()]
    dropped = {record.question_id: role for record, texts in pairs if (role := _dropped_role(record, texts))}
    if dropped:
        role = next(iter(dropped.values()))
        yield finding(
            "chat-template-drops-text",
            f"the chat template leaves out what a message says in {len(dropped)} rows (first: the {role}'s), in training "
            "and serving alike: put those words where the template keeps them, or correct the template",
            dropped,
        )
    differing = [r.question_id for r, texts in pairs if not all(text.whole.startswith(text.prompt) for text in texts)]
    if differing:
        yield finding(
            "generation-prompt-differs",
            f"{len(differing)} rows do not begin with their prompt as it is served (its generation prompt has other "
            "text than comes before the completion): correct the template, so that serving continues what was trained",
            differing,
        )


def check_content_parts(tokenizer: Tokenizer, records: Sequence[Record]) -> Iterable[Finding]:
    """Where the template loops over content, vLLM sends a list of parts: it must render like the text that is trained."""
    if not LOOPS_OVER_CONTENT.search(_text(tokenizer.chat_template)):
        return
    sample = [record for record in records if is_conversation(record)][:SAMPLED_ROWS]
    differing = [record.question_id for record in sample if not _same_as_parts(tokenizer, record)]
    if differing:
        yield finding(
            "chat-template-unlike-serving",
            f"the chat template loops over `content`, so vLLM hands it a list of parts, and that renders otherwise than "
            f"the plain text that is trained ({len(differing)} of the first {SAMPLED_ROWS} rows)",
            differing,
        )


def _same_as_parts(tokenizer: Tokenizer, record: Record) -> bool:
    plain = [message.model_dump() for message in record.prompt]
    parts = [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in plain]
    try:
        one, other = (
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            for messages in (plain, parts)
        )
    except TemplateError:
        return False
    return bool(one == other)


def _dropped_role(record: Record, texts: Sequence[Rendered]) -> str | None:
    for answer, text in zip(record.answers, texts, strict=True):
        told = [message for message in record.prompt if message.role in AS_TEXT] + list(answer[-1:])
        for message in told:
            if message.content.strip() not in text.whole:
                return message.role
    return None


def _is_same(one: Any, other: Any) -> bool:
    return _text(one).rstrip() == _text(other).rstrip()


def _text(template: Any) -> str:
    """A folder may hold several by name; chats without tools use `default`."""
    if isinstance(template, list):
        template = {entry["name"]: entry["template"] for entry in template}
    return str(template.get("default", "")) if isinstance(template, dict) else str(template)
