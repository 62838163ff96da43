"""Where the client finds the services: variables first, then a folder's stack or the login, then an error that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.config import login_file
from burnish_client.config.endpoints import ClientSettings
from burnish_client.config.login_file import Login
from burnish_client.stack.settings import StackSettings

STACK = {
    "curator_url": "http://127.0.0.1:1001",
    "trainer_address": "127.0.0.1:1002",
    "inference_url": None,
    "token": "from-the-stack",
    "ports": {},
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("HOME", "CURATOR_URL", "TRAINER_ADDRESS", "INFERENCE_URL", "TOKEN", "CA"):
        monkeypatch.delenv(f"BURNISH_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "stack.json").write_text(json.dumps(STACK))
    return tmp_path


def test_addresses_and_token_come_from_the_stack_file(home: Path) -> None:
    settings = ClientSettings(home=home)
    assert settings.address("curator") == "http://127.0.0.1:1001"
    assert settings.address("trainer") == "127.0.0.1:1002"
    assert settings.secret_token() == "from-the-stack"


def test_home_itself_comes_from_its_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_HOME", str(home))
    assert ClientSettings().address("curator") == "http://127.0.0.1:1001"


def test_a_variable_wins_over_the_stack_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CURATOR_URL", "https://curator.example")
    monkeypatch.setenv("BURNISH_TOKEN", "mine")
    settings = ClientSettings(home=home)
    assert settings.address("curator") == "https://curator.example"
    assert settings.address("trainer") == "127.0.0.1:1002"
    assert settings.secret_token() == "mine"


def test_an_empty_variable_counts_as_unset(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_CURATOR_URL", "")
    assert ClientSettings(home=home).address("curator") == "http://127.0.0.1:1001"


LOGIN = Login(
    curator_url="https://far.example", trainer_address="grpcs://far.example:8702", token="of-the-login", ca="/ca.pem"
)


def ended(home: Path, phase: str = "stopped") -> Path:
    (home / "stack.json").write_text(json.dumps(STACK | {"phase": phase}))
    return home


def test_a_login_serves_where_there_is_no_stack(tmp_path: Path) -> None:
    login_file.write(LOGIN)
    settings = ClientSettings(home=tmp_path)
    assert settings.address("trainer") == "grpcs://far.example:8702"
    assert (settings.secret_token(), settings.ca) == ("of-the-login", Path("/ca.pem"))
    assert (settings.source("curator"), settings.source("inference")) == ("login", "none")
    with pytest.raises(PreconditionError, match=r"login\.json has none: `burnish login --inference …`, or set"):
        settings.address("inference")


@pytest.mark.parametrize("phase", ["starting", "running", "stopping", "failed"])
def test_a_stack_that_was_not_ended_comes_before_the_login_also_where_it_crashed(home: Path, phase: str) -> None:
    login_file.write(LOGIN)
    settings = ClientSettings(home=ended(home, phase))
    assert (settings.address("curator"), settings.secret_token()) == ("http://127.0.0.1:1001", "from-the-stack")
    assert settings.ca is None, "nothing of the login is mixed in"
    assert settings.source_title("curator") == f"the stack in {home}"


def test_a_stack_that_was_ended_leaves_its_folder_to_the_login(home: Path) -> None:
    assert ClientSettings(home=ended(home)).address("curator") == "http://127.0.0.1:1001", "without a login"
    login_file.write(LOGIN)
    settings = ClientSettings(home=home)
    assert (settings.address("curator"), settings.secret_token()) == ("https://far.example", "of-the-login")
    assert settings.source_title("curator") == f"the login in {login_file.path()}"


def test_a_kept_token_never_goes_to_an_address_from_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_INFERENCE_URL", "https://not-ours.example")
    for place in ("stack", "login"):
        settings = ClientSettings(home=home)
        assert settings.source("inference") == "variable"
        assert settings.source("curator") == place
        assert settings.ca is None
        with pytest.raises(PreconditionError, match="BURNISH_INFERENCE_URL is set but BURNISH_TOKEN is not"):
            settings.secret_token()
        ended(home)
        login_file.write(LOGIN)
    monkeypatch.setenv("BURNISH_TOKEN", "mine")
    assert ClientSettings(home=home).secret_token() == "mine"


def test_without_either_the_error_says_how_to_start_and_what_to_set(tmp_path: Path) -> None:
    settings = ClientSettings(home=tmp_path)
    with pytest.raises(
        PreconditionError, match=r"stack\.json does not exist: run `burnish up`, or set BURNISH_CURATOR_URL"
    ):
        settings.address("curator")
    with pytest.raises(PreconditionError, match=r"set BURNISH_TOKEN, or run `burnish up`.* or `burnish login`"):
        settings.secret_token()


def test_a_part_that_was_left_out_is_told_as_such(home: Path) -> None:
    with pytest.raises(PreconditionError, match="started without it"):
        ClientSettings(home=home).address("inference")


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
