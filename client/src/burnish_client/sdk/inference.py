"""SDK of the inference service: models, adapters and chat. Synchronous; the eval client has an asynchronous one of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict

from burnish.errors import UnavailableError
from burnish.layout import PRODUCTION
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Listing, Message
from burnish.schemas.device import DeviceStatus
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish_client.sdk.transport.http import HttpClient, segment

CHAT_TIMEOUT_SECONDS = 300.0


class ModelCard(BaseModel):
    """An entry of GET /v1/models. parent: the base model's name for an adapter, None for the base. version: what an alias names."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    root: str | None = None
    parent: str | None = None
    version: str | None = None


class ChatAnswer(BaseModel):
    """The first choice of a chat completion."""

    model_config = ConfigDict(frozen=True)

    model: str
    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int


class InferenceClient(HttpClient):
    """Calls of the inference service. Raises the BurnishErrors that it raised; UnavailableError if it does not answer."""

    service = "inference"
    probe_path = "/v1/models"

    def check_access(self) -> str | None:
        response = self._send("GET", self.probe_path)
        try:
            return _base_model(_model_cards(response))
        except (ValueError, LookupError, TypeError):  # a server of another kind
            return None

    def models(self) -> list[ModelCard]:
        """Production aliases (bare names), the base model, other aliases, and every adapter version in the store."""
        return _model_cards(self._get(self.probe_path))

    def base_model(self) -> str:
        """Name of the base model that is served: the card without a parent."""
        name = _base_model(self.models())
        if name is None:
            raise UnavailableError(
                f"{self._where} lists no base model: read its log (`burnish status --json` names it)"
            )
        return name

    def adapters(self, name: str | None = None) -> Listing[AdapterManifest]:
        """Newest first; of one name if given."""
        path = f"/v1/adapters/{segment(name)}" if name else "/v1/adapters"
        return self._pages(path, "adapters", AdapterManifest)

    def adapter(self, name: str, version: str = PRODUCTION) -> AdapterManifest:
        """One version. version: 16 hexadecimal characters, `latest`, or an alias; without it, the production alias."""
        return AdapterManifest.model_validate_json(
            self._get(f"/v1/adapters/{segment(name)}/{segment(version)}").content
        )

    def remote_models(self, name: str | None = None) -> Listing[RemoteModelManifest]:
        """Tuned models that stay with their providers, newest first; of one name if given."""
        return self._pages("/v1/remote-models", "remote_models", RemoteModelManifest, {"name": name} if name else None)

    def remote_model(self, name: str, version: str) -> RemoteModelManifest:
        """version: 16 hexadecimal characters, or `latest`."""
        path = f"/v1/remote-models/{segment(name)}/{segment(version)}"
        return RemoteModelManifest.model_validate_json(self._get(path).content)

    def device(self) -> DeviceStatus:
        """What vLLM runs on, and the training job that has it, if one has."""
        return DeviceStatus.model_validate_json(self._get("/v1/device").content)

    def chat(
        self,
        model: str,
        messages: Iterable[Message | Mapping[str, str]] | str,
        *,
        max_tokens: int = 256,
        temperature: float = 0.0,
        **parameters: Any,
    ) -> ChatAnswer:
        """One answer. `model`: base name, adapter (its production alias), adapter@latest or adapter@version; a plain string is one user message.

        parameters go into the request as they are (seed, response_format, …). Not retried: the request may have been answered.
        """
        if isinstance(messages, str):
            messages = [Message(role="user", content=messages)]
        listed = [message.model_dump() if isinstance(message, Message) else dict(message) for message in messages]
        body = {"model": model, "messages": listed, "max_tokens": max_tokens, "temperature": temperature, **parameters}
        answer = self._send("POST", "/v1/chat/completions", json=body, timeout=CHAT_TIMEOUT_SECONDS).json()
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        return ChatAnswer(
            model=answer["model"],
            text=choice["message"]["content"] or "",
            finish_reason=choice.get("finish_reason"),
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
        )


def _model_cards(response: httpx.Response) -> list[ModelCard]:
    return [ModelCard.model_validate(item) for item in response.json()["data"]]


def _base_model(cards: Iterable[ModelCard]) -> str | None:
    return next((card.id for card in cards if card.parent is None), None)
