"""Prompts and answers in the shapes of many APIs and frameworks, as OpenAI's chat messages.

Known: OpenAI (chat, completions, responses), Anthropic, Gemini, LangChain (objects and serialised ones), OpenTelemetry's GenAI parts,
plain text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from burnish.runlogs.traces.pieces import as_text, first, maybe_json, objects

ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
KNOWN_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
PROMPT_KEYS = ("messages", "contents", "input", "prompt", "question", "query", "inputs", "text", "content")
ANSWER_KEYS = (
    "output",
    "outputs",
    "answer",
    "completion",
    "response",
    "result",
    "generation",
    "text",
    "content",
    "generated_text",
)


@dataclass
class Answer:
    text: str = ""
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str | None = None


def messages_of(value: Any) -> list[dict[str, Any]]:
    """The prompt that a value is; empty for nothing."""
    value = maybe_json(value)
    if value is None or value == "" or value == []:
        return []
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], list):  # LangChain's batch of one
            return messages_of(value[0])
        if value and all(_is_message(item) for item in value):
            return [message for item in value for message in _messages(item)]
        if all(isinstance(item, str) for item in value):
            return [{"role": "user", "content": "\n".join(value)}]
    if isinstance(value, dict):
        if _is_message(value):
            return list(_messages(value))
        system = first(value, "system", "instructions", "system_instruction", "systemInstruction")
        inner = first(value, *PROMPT_KEYS)
        if inner is not None:
            lead = [{"role": "system", "content": _content(system)}] if system else []
            return [*lead, *messages_of(inner)]
    return [{"role": "user", "content": as_text(value)}]


def answer_of(value: Any) -> Answer:
    """What a response, a message, a list of messages or a text says; any other object as JSON."""
    if isinstance(value, str):
        held = maybe_json(value)
        return answer_of(held) if _is_response(held) else Answer(value)
    if value is None:
        return Answer()
    if isinstance(value, int | float):
        return Answer(str(value))
    if isinstance(value, list):
        return _of_list(value)
    return _of_object(value) if isinstance(value, dict) else Answer(as_text(value) or "")


def _is_response(value: Any) -> bool:
    """Whether JSON text is a response in some API's shape, and not itself the answer."""
    if isinstance(value, list):
        return bool(value) and all(_is_message(item) for item in value)
    return isinstance(value, dict) and (
        _is_message(value) or bool({"choices", "candidates", "generations"} & value.keys())
    )


def _of_list(value: list[Any]) -> Answer:
    if len(value) == 1 and isinstance(value[0], list):
        return _of_list(value[0])
    spoken = [item for item in value if _is_message(item)]
    if spoken:
        own = [item for item in spoken if _role(item) == "assistant"] or spoken[-1:]
        return _of_message(own[-1])
    blocks = [block for block in objects(value) if block.get("type")]
    if blocks and len(blocks) == len(value):
        if any(block["type"] == "message" for block in blocks):  # OpenAI responses
            said = [_of_message(block) for block in blocks if block["type"] == "message"]
            calls = [_call(block) for block in blocks if block["type"] == "function_call"]
            return Answer("\n".join(answer.text for answer in said), calls or None)
        return _of_message({"role": "assistant", "content": value})
    return Answer(as_text(value) or "")


def _of_object(value: dict[str, Any]) -> Answer:
    choices = value.get("choices") or value.get("candidates")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice = choices[0]
        said = first(choice, "message", "delta", "content", "text")
        answer = answer_of(said)
        answer.finish_reason = as_text(first(choice, "finish_reason", "finishReason")) or answer.finish_reason
        return answer
    generations = value.get("generations")
    if isinstance(generations, list) and generations:
        last = generations[0][0] if isinstance(generations[0], list) and generations[0] else generations[0]
        if isinstance(last, dict):
            answer = answer_of(first(last, "message", "text"))
            info = last.get("generation_info") or {}
            answer.text = answer.text or as_text(last.get("text")) or ""
            answer.finish_reason = as_text(info.get("finish_reason")) or answer.finish_reason
            return answer
    if _is_message(value):
        return _of_message(value)
    messages = value.get("messages")
    inner = messages if isinstance(messages, list) and messages else first(value, *ANSWER_KEYS)
    if inner is not None:
        answer = answer_of(inner)
        reason = first(value, "finish_reason", "stop_reason", "finishReason")
        answer.finish_reason = answer.finish_reason or as_text(reason)
        return answer
    return Answer(as_text(value) or "")


def _of_message(value: dict[str, Any]) -> Answer:
    from burnish.schemas.logged import text_of

    messages = list(_messages(value if _role(value) else {**value, "role": "assistant"}))
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    text = "\n".join(filter(None, (text_of(message["content"]) for message in messages)))
    meta = value.get("response_metadata") or {}
    reason = first(value, "finish_reason", "stop_reason") or meta.get("finish_reason")
    return Answer(text, calls or None, as_text(reason))


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _role(value) is not None
        and ("content" in value or "parts" in value or "kwargs" in value or "tool_calls" in value or "data" in value)
    )


def _role(value: dict[str, Any]) -> str | None:
    name = value.get("role")
    if name is None and isinstance(value.get("id"), list) and value["id"]:  # LangChain, serialised
        name = value["id"][-1]
    if name is None:
        name = value.get("type")
    role = ROLES.get(str(name), str(name))
    return role if role in KNOWN_ROLES else None


def _messages(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A message, and the results of tools inside it as messages of their own, before it."""
    role = _role(value)
    body = value.get("kwargs") if isinstance(value.get("kwargs"), dict) else value
    body = (
        body.get("data")
        if isinstance(body, dict) and "content" not in body and isinstance(body.get("data"), dict)
        else body
    )
    assert isinstance(body, dict)
    content = maybe_json(body["parts"]) if "parts" in body else body.get("content")
    parts = content if isinstance(content, list) else []
    calls = [
        _call(call)
        for call in objects(body.get("tool_calls") or (body.get("additional_kwargs") or {}).get("tool_calls") or ())
    ]
    calls += [_call(part) for part in objects(parts) if part.get("type") in ("tool_call", "tool_use")]
    results = [part for part in objects(parts) if part.get("type") in ("tool_call_response", "tool_result")]
    for result in results:
        said = first(result, "response", "result", "content")
        name = first(result, "id", "tool_use_id", "tool_call_id")
        yield {"role": "tool", "tool_call_id": as_text(name) or "", "content": _content(said)}
    rest = [
        part
        for part in parts
        if not isinstance(part, dict) or (part not in results and part.get("type") not in ("tool_call", "tool_use"))
    ]
    if results and not rest:
        return
    message: dict[str, Any] = {"role": role, "content": _content(rest if parts else content)}
    if calls:
        message["tool_calls"] = calls
    for name in ("tool_call_id", "name"):
        if body.get(name):
            message[name] = str(body[name])
    yield message


def _call(call: dict[str, Any]) -> dict[str, Any]:
    """A tool call in OpenAI's form."""
    if isinstance(call.get("function"), dict):
        return call
    arguments = first(call, "arguments", "args", "input")
    function = {
        "name": call.get("name"),
        "arguments": arguments if isinstance(arguments, str) else as_text(arguments or {}),
    }
    return {"id": as_text(first(call, "id", "call_id")), "type": "function", "function": function}


def _content(content: Any) -> Any:
    """Text, or content parts if one of them is no text."""
    if isinstance(content, dict):
        content = [content] if "type" in content or "text" in content else as_text(content)
    if not isinstance(content, list):
        return as_text(content)
    parts = [_part(part) for part in content]
    if all(part.get("type") == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, dict):
        return {"type": "text", "text": as_text(part) or ""}
    kind = part.get("type", "text")
    text = first(part, "text", "content") if kind in ("text", "input_text", "output_text") else None
    return {"type": "text", "text": as_text(text) or ""} if text is not None else part
