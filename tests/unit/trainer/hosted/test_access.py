"""Where credentials come from, who gets to see them, and which trainer can use which provider."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish_trainer.executors import launch
from burnish_trainer.executors.access import ProviderAccess
from burnish_trainer.preflight.process import _environment

KEY = {"OPENAI_API_KEY": "sk-1"}
needs_sdk = pytest.mark.skipif(find_spec("openai") is None, reason="the SDK openai is not installed: run `make setup`")


def secrets(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets"
    path.write_text(text)
    path.chmod(mode)
    return path


@needs_sdk
def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    file = secrets(tmp_path, "# ours\n\nOPENAI_API_KEY = sk-2\nOPENAI_BASE_URL=http://here/v1\n")
    assert ProviderAccess.read(file, {}).of("openai") == {
        "OPENAI_API_KEY": "sk-2",
        "OPENAI_BASE_URL": "http://here/v1",
    }
    assert ProviderAccess.read(file, KEY).of("openai")["OPENAI_API_KEY"] == "sk-1"
    assert ProviderAccess.read(None, KEY | {"PATH": "/bin"}).of("openai") == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(PreconditionError, match="chmod 600"):
        ProviderAccess.read(secrets(tmp_path, "OPENAI_API_KEY=sk-2", mode), {})


@pytest.mark.parametrize("line", ["OPENAI_API_KEY", "OPENAI_KEY=sk-2", "export OPENAI_API_KEY=sk-2"])
def test_a_line_that_sets_nothing_is_named_without_its_value(tmp_path: Path, line: str) -> None:
    with pytest.raises(PreconditionError, match="line 2: write NAME=value") as refused:
        ProviderAccess.read(secrets(tmp_path, f"# ours\n{line}\n"), {})
    assert "sk-2" not in refused.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read"):
        ProviderAccess.read(tmp_path / "none", {})


@needs_sdk
def test_a_trainer_without_the_credential_cannot_use_the_provider() -> None:
    empty = ProviderAccess.read(None, {"OPENAI_API_KEY": ""})
    assert empty.usable == ()
    with pytest.raises(PreconditionError, match="set OPENAI_API_KEY for it"):
        empty.of("openai")
    assert ProviderAccess(KEY).usable == ("openai",)


def test_an_address_with_a_credential_is_refused() -> None:
    with pytest.raises(PreconditionError, match="put it into OPENAI_API_KEY alone") as refused:
        ProviderAccess(KEY | {"OPENAI_BASE_URL": "https://me:sk-3@there/v1"}).of("openai")
    assert "sk-3" not in refused.value.message


def test_no_other_process_sees_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert "sk-1" not in launch.base_environment().values()
    assert "sk-1" not in _environment({}).values()
