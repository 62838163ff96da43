"""What the front answers with; OpenAI's model list, and adapters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from burnish.schemas.adapter import AdapterManifest


class ModelCard(BaseModel):
    """root: the base model's name; parent: the same for an adapter, None for the base."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "burnish"
    root: str
    parent: str | None = None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class AdapterList(BaseModel):
    adapters: list[AdapterManifest]


class Health(BaseModel):
    status: str
