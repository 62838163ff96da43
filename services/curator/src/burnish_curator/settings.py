"""Where things are, read from the environment. Built in main.py only."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StoreSettings(BaseSettings):
    """The object store: BURNISH_S3_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_S3_", frozen=True)

    endpoint: str = Field(description="host:port of the S3 endpoint, without scheme")
    access_key: str = Field(description="access key id")
    secret_key: SecretStr = Field(description="secret access key")
    bucket: str = Field(default="burnish", description="bucket that holds every object of Burnish; made if missing")
    secure: bool = Field(default=False, description="https instead of http")
    region: str = Field(default="us-east-1", description="region that requests are signed for")


class CuratorSettings(BaseSettings):
    """The curator itself: BURNISH_CURATOR_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_CURATOR_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8081, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    database_url: str = Field(
        description="SQLAlchemy URL of the review state: sqlite:///FILE or postgresql+psycopg://…"
    )
    cache_dir: Path = Field(description="folder for run log parts and uploads under way; belongs to this process alone")
    tokenizer: Path | None = Field(
        default=None, description="folder of the base model, to count tokens; unset: lengths are counted in characters"
    )


class AccessSettings(BaseSettings):
    """What callers must show: BURNISH_TOKEN."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True)

    token: SecretStr = Field(
        min_length=1, description="bearer token that every call but /healthz and /readyz must carry"
    )
