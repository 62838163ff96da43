"""Where the client finds the services: variables first, then stack.json, then an error that says `burnish up`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.config import ClientSettings
from burnish_client.stack.settings import StackSettings

STACK = {
    "curator_url": "http://127.0.0.1:1001",
    "trainer_address": "127.0.0.1:1002",
    "inference_url": None,
    "token": "from-the-stack",
    "ports": {},
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "CURATOR_URL", "TRAINER_ADDRESS", "INFERENCE_URL", "TOKEN"):
        monkeypatch.delenv(f"BURNISH_{name}", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "stack.json").write_text(json.dumps(STACK))
    return tmp_path


def test_addresses_and_token_come_from_the_stack_file(home: Path) -> None:
    settings = ClientSettings(home=home)
    assert settings.endpoint("curator") == "http://127.0.0.1:1001"
    assert settings.endpoint("trainer") == "127.0.0.1:1002"
    assert settings.secret_token() == "from-the-stack"


def test_home_itself_comes_from_its_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_HOME", str(home))
    assert ClientSettings().endpoint("curator") == "http://127.0.0.1:1001"


def test_a_variable_wins_over_the_stack_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CURATOR_URL", "https://curator.example")
    monkeypatch.setenv("BURNISH_TOKEN", "mine")
    settings = ClientSettings(home=home)
    assert settings.endpoint("curator") == "https://curator.example"
    assert settings.endpoint("trainer") == "127.0.0.1:1002"
    assert settings.secret_token() == "mine"


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CURATOR_URL", "")
    assert ClientSettings(home=home).endpoint("curator") == "http://127.0.0.1:1001"


def test_without_either_the_error_says_how_to_start_and_what_to_set(tmp_path: Path) -> None:
    settings = ClientSettings(home=tmp_path)
    with pytest.raises(
        PreconditionError, match=r"stack\.json does not exist: run `burnish up`, or set BURNISH_CURATOR_URL"
    ):
        settings.endpoint("curator")
    with pytest.raises(PreconditionError, match="set BURNISH_TOKEN, or run `burnish up`"):
        settings.secret_token()


def test_a_part_that_was_left_out_is_told_as_such(home: Path) -> None:
    with pytest.raises(PreconditionError, match="started without it"):
        ClientSettings(home=home).endpoint("inference")


def test_a_broken_stack_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(CorruptDataError, match=r"stack\.json is not JSON"):
        ClientSettings(home=tmp_path)


def test_settings_are_frozen_and_do_not_show_the_token(home: Path) -> None:
    settings = ClientSettings(home=home)
    with pytest.raises(ValidationError):
        settings.home = Path("/elsewhere")  # type: ignore[misc]
    assert "from-the-stack" not in repr(settings)


@pytest.mark.parametrize("settings", [ClientSettings, StackSettings])
def test_every_setting_is_described_and_documented(settings: type[BaseSettings]) -> None:
    table = (Path(__file__).resolve().parents[3] / "ARCHITECTURE.md").read_text()
    for name, field in settings.model_fields.items():
        assert field.description
        assert f"`BURNISH_{name.upper()}`" in table
