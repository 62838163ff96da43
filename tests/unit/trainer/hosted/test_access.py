"""Where credentials come from, who gets to see them, and which trainer can use which provider."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hosted_python import find_hosted_python

from burnish.errors import PreconditionError
from burnish_trainer.executors import launch
from burnish_trainer.executors.access import ProviderAccess
from burnish_trainer.preflight.process import _environment

KEY = {"OPENAI_API_KEY": "sk-1"}


@pytest.fixture(scope="module")
def python() -> Path:
    return find_hosted_python()


def secrets(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secrets"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_environment_comes_before_the_file(tmp_path: Path, python: Path) -> None:
    file = secrets(tmp_path, "# ours\n\nOPENAI_API_KEY = sk-2\nOPENAI_BASE_URL=http://here/v1\n")
    assert ProviderAccess.read(file, {}, python).of("openai") == {
        "OPENAI_API_KEY": "sk-2",
        "OPENAI_BASE_URL": "http://here/v1",
    }
    assert ProviderAccess.read(file, KEY, python).of("openai")["OPENAI_API_KEY"] == "sk-1"
    assert ProviderAccess.read(None, KEY | {"PATH": "/bin"}, python).of("openai") == KEY


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


def test_a_trainer_without_the_credential_cannot_use_the_provider(python: Path) -> None:
    empty = ProviderAccess.read(None, {"OPENAI_API_KEY": ""}, python)
    assert empty.usable == ()
    with pytest.raises(PreconditionError, match="set OPENAI_API_KEY for it"):
        empty.of("openai")
    assert ProviderAccess(KEY, python).usable == ("openai",)


def test_an_interpreter_without_the_sdk_is_told_what_to_install(tmp_path: Path) -> None:
    """That of the tests has none: hosted workers have one of their own."""
    with pytest.raises(PreconditionError, match=r"pip install 'burnish-trainer\[openai\]'") as refused:
        ProviderAccess(KEY).of("openai")
    assert sys.executable in refused.value.message
    assert ProviderAccess(KEY).usable == ()


@pytest.mark.parametrize("script", ["exit 3", "echo no module named burnish_trainer >&2; exit 1"])
def test_an_interpreter_that_cannot_run_hosted_workers_is_named(tmp_path: Path, script: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    for broken in (python, tmp_path / "none"):
        with pytest.raises(PreconditionError, match="BURNISH_TRAINER_HOSTED_PYTHON") as refused:
            ProviderAccess(KEY, broken).of("openai")
        assert str(broken) in refused.value.message


def test_a_worker_runs_in_that_interpreter(python: Path) -> None:
    assert ProviderAccess(KEY, python).command[0] == str(python)


def test_an_address_with_a_credential_is_refused() -> None:
    with pytest.raises(PreconditionError, match="put it into OPENAI_API_KEY alone") as refused:
        ProviderAccess(KEY | {"OPENAI_BASE_URL": "https://me:sk-3@there/v1"}).of("openai")
    assert "sk-3" not in refused.value.message


def test_no_other_process_sees_a_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert "sk-1" not in launch.base_environment().values()
    assert "sk-1" not in _environment({}).values()
