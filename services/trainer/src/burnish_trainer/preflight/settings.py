"""What the checker reads from its environment beyond the object store's keys."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServedSettings(BaseSettings):
    """The inference front's setting, where the trainer runs in the same environment."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_INFERENCE_", frozen=True)

    max_lora_rank: int | None = Field(default=None, ge=1, description="largest adapter rank that is served")
