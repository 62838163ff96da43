"""What the OpenAPI document says of completions and errors. vLLM checks the bodies and writes the answers, so no code reads these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

Object = dict[str, Any]


class ErrorDetail(BaseModel):
    """OpenAI's error, with our own `reason`. `code` is OpenAI's if it has one for the case."""

    message: str
    type: str
    param: str | None
    code: str
    reason: str


class ErrorBody(BaseModel):
    error: ErrorDetail


def _error(description: str) -> Object:
    return {"model": ErrorBody, "description": description}


Responses = dict[int | str, dict[str, Any]]
NOT_READY: Responses = {503: _error("vLLM starts, or starts again: Retry-After says when to ask")}
ERRORS: Responses = {
    400: _error("The request is malformed, asks for too much, or names an adapter that does not fit the base"),
    401: _error("The token is missing or wrong (code `invalid_api_key`)"),
    404: _error("There is no such model (code `model_not_found`) or path"),
    408: _error("The body came too slowly"),
    413: _error("The body is larger than BURNISH_INFERENCE_MAX_REQUEST_BYTES"),
    **NOT_READY,
    "default": _error("Any other error, in the same form"),
}
METRICS: Responses = {200: {"description": "The page", "content": {"text/plain": {"schema": {"type": "string"}}}}}

_MODEL = {"type": "string", "description": "the base's name, an adapter, or adapter@version"}
_PARAMETERS: Object = {
    "model": _MODEL,
    "n": {"type": "integer", "minimum": 1, "description": "answers; at most BURNISH_INFERENCE_MAX_CHOICES"},
    "max_tokens": {"type": "integer", "description": "longest answer"},
    "temperature": {"type": "number"},
    "seed": {"type": "integer"},
    "stop": {"type": "array", "items": {"type": "string"}},
    "stream": {"type": "boolean", "description": "answer as server-sent events"},
}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"type": "string"}, "content": {"type": "string"}},
    "additionalProperties": True,
}
_CHAT: Object = {"messages": {"type": "array", "items": _MESSAGE}, "max_completion_tokens": {"type": "integer"}}
_COMPLETION: Object = {"prompt": {"type": "string"}, "echo": {"type": "boolean"}, "logprobs": {"type": "integer"}}


def completion(kind: Literal["chat", "text"]) -> dict[str, Any]:
    """Arguments of a completion's route: its body and its answers. Further parameters of vLLM are passed on."""
    more, needed = (_CHAT, "messages") if kind == "chat" else (_COMPLETION, "prompt")
    body = {
        "type": "object",
        "required": ["model", needed],
        "properties": _PARAMETERS | more,
        "additionalProperties": True,
    }
    answer = {
        "type": "object",
        "required": ["model", "choices"],
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string"},
            "created": {"type": "integer"},
            "model": _MODEL,
            "choices": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
            "usage": {"type": "object", "additionalProperties": True},
        },
        "additionalProperties": True,
    }
    content = {"application/json": {"schema": answer}, "text/event-stream": {"schema": {"type": "string"}}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}},
        "responses": {200: {"description": "OpenAI's answer", "content": content}},
    }
