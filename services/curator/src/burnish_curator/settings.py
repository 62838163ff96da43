"""The curator's own settings, from the environment. Built in main.py only."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_UPLOAD_BYTES = 4 * 1024**3
# What else helps if the disk is full.
MORE_ROOM = "lower BURNISH_CURATOR_CACHE_GIB and start again, or point BURNISH_CURATOR_CACHE_DIR at a larger disk"


class CuratorSettings(BaseSettings):
    """The curator itself: BURNISH_CURATOR_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_CURATOR_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8081, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    database_url: str = Field(
        description="SQLAlchemy URL of the review state: sqlite:///FILE or postgresql+psycopg://…"
    )
    cache_dir: Path = Field(description="folder for run log parts and uploads under way; belongs to this process alone")
    cache_gib: float = Field(
        default=20,
        gt=0,
        description="GiB of run log parts kept in cache_dir; those that were read longest ago go first",
    )
    max_upload_bytes: int = Field(
        default=MAX_UPLOAD_BYTES, ge=1024, description="largest run log, benchmark, review or eval file, as it is sent"
    )
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks of reverse proxies, separated by commas, whose X-Forwarded-For and -Proto are believed",
    )
    traces_seconds: float = Field(
        default=3600, gt=0, description="seconds after which the traces that came to /v1/traces become a run log"
    )
    traces_scores: Path | None = Field(
        default=None,
        description="JSON file of rules for scores in those traces, as `burnish runs import --scores` takes it",
    )
    tokenizer: Path | None = Field(
        default=None, description="folder of the base model, to count tokens; unset: lengths are counted in characters"
    )
