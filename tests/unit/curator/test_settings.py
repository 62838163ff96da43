"""Settings come from the variables that ARCHITECTURE.md names, and each says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from burnish.service.settings import S3Settings, TlsSettings, TokenSettings
from burnish_curator.settings import CuratorSettings

ARCHITECTURE = Path(__file__).resolve().parents[3] / "ARCHITECTURE.md"


def variables(settings: type[BaseSettings]) -> list[str]:
    prefix = settings.model_config.get("env_prefix", "")
    return [f"{prefix}{name}".upper() for name in settings.model_fields]


def documented() -> set[str]:
    """Every variable of the settings table; `_PORT` after `BURNISH_CURATOR_HOST` is short for the whole name."""
    found: set[str] = set()
    for row in ARCHITECTURE.read_text().splitlines():
        prefix = ""
        for name in re.findall(r"`([A-Z0-9_]+)`", row):
            prefix = name.rpartition("_")[0] if name.startswith("BURNISH_") else prefix
            found.add(name if name.startswith("BURNISH_") else prefix + name)
    return found


@pytest.mark.parametrize("settings", [S3Settings, CuratorSettings, TokenSettings, TlsSettings])
def test_every_setting_is_described_and_documented(settings: type[BaseSettings]) -> None:
    assert all(field.description for field in settings.model_fields.values())
    assert set(variables(settings)) <= documented()
