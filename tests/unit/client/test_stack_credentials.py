"""Of the parts of `burnish up`, the trainer alone sees the providers' credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.schemas.training.hosted import PROVIDERS
from burnish_client.stack.parts import make_layout, make_parts
from burnish_client.stack.settings import StackSettings


def test_only_the_trainer_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {provider.key for provider in PROVIDERS.values()}
    for key in keys:
        monkeypatch.setenv(key, "secret-of-the-account")
    settings = StackSettings(base_model=tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    parts = {part.name: part.env for part in make_parts(settings, make_layout(settings, home, None), ())}
    assert set(parts) == {"objectstore", "curator", "trainer", "inference"}
    assert keys <= set(parts["trainer"])
    for name in set(parts) - {"trainer"}:
        assert "secret-of-the-account" not in parts[name].values(), name
