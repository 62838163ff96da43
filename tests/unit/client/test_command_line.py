"""The burnish command without services: help, one-line errors, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import typer

from burnish.errors import PreconditionError
from burnish_client.cli import app as cli
from burnish_client.config import login_file

ADDRESSES = ("TOKEN", "CURATOR_URL", "TRAINER_ADDRESS", "INFERENCE_URL", "CA", "BASE_MODEL", "DEBUG")


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


@pytest.fixture
def burnish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in an empty home, at 80 columns."""
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ADDRESSES:
        monkeypatch.delenv(f"BURNISH_{name}", raising=False)

    def run(*words: str) -> Done:
        code = cli.run(list(words))
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


def command_paths(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group of the command line, as its words."""
    found = [words]
    for name, inner in getattr(command, "commands", {}).items():
        found += command_paths(inner, (*words, name))
    return found


ROOT = typer.main.get_command(cli.app)
COMMANDS = command_paths(ROOT)


def test_every_command_is_found() -> None:
    assert len(COMMANDS) > 45
    assert ("jobs", "cancel") in COMMANDS
    assert ("train", "sweep", "show") in COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "burnish")
def test_help_fits_in_80_columns_and_cuts_no_name(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ROOT.main([*words, "--help"], prog_name="burnish", standalone_mode=False)
    text = capsys.readouterr().out
    assert "Usage: burnish" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text, "an option's name or help is cut short"


def test_the_version_is_printed(burnish: Callable[..., Done]) -> None:
    done = burnish("--version")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == f"burnish {version('burnish-client')}\n"


def test_a_wrong_command_line_is_bad_input(burnish: Callable[..., Done]) -> None:
    done = burnish("jobs", "ls", "--limit", "many")
    assert done.code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: Invalid value for '--limit'")
    assert "hint: `burnish jobs ls --help`" in done.stderr


@pytest.mark.parametrize("words", ["runs ls --json", "jobs ls", "adapters ls"])
def test_without_a_stack_each_service_says_how_to_get_one(burnish: Callable[..., Done], words: str) -> None:
    done = burnish(*words.split())
    assert done.code == 1
    assert done.stdout == ""
    assert "run `burnish up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_without_a_stack(burnish: Callable[..., Done]) -> None:
    done = burnish("status", "--json")
    assert done.code == 1
    assert '"phase": "stopped"' in done.stdout
    assert "no stack has been started" in burnish("status").stderr


def test_no_arguments_show_the_help_and_no_error_line(burnish: Callable[..., Done]) -> None:
    done = burnish()
    assert done.code == 2
    assert "Usage: burnish" in done.stdout
    assert "error" not in done.stderr


def test_a_missing_base_model_says_make_setup(
    burnish: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_BASE_MODEL", str(tmp_path / "nothing"))
    done = burnish("up")
    assert done.code == 1
    assert "run `make setup`" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "home").exists()


def test_debug_shows_where_an_error_came_from(burnish: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_DEBUG", "1")
    with pytest.raises(PreconditionError, match="run `burnish up`"):
        burnish("runs", "ls")


def test_token_prints_the_token_alone(
    burnish: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    missing = burnish("token")
    assert (missing.code, missing.stdout) == (1, "")
    assert "burnish up" in missing.stderr

    login_file.write(login_file.Login(curator_url="https://curator.example", token="of-the-[bold]login[/]"))
    assert burnish("token") == Done(0, "of-the-[bold]login[/]\n", "")

    (tmp_path / "home").mkdir()
    stack = {"curator_url": "http://127.0.0.1:8701", "token": "of-the-stack", "phase": "running"}
    (tmp_path / "home/stack.json").write_text(json.dumps(stack))
    assert burnish("token") == Done(0, "of-the-stack\n", "")

    monkeypatch.setenv("BURNISH_CURATOR_URL", "https://elsewhere.example")
    elsewhere = burnish("token")
    assert (elsewhere.code, elsewhere.stdout) == (1, "")
    assert "BURNISH_CURATOR_URL is set but BURNISH_TOKEN is not" in elsewhere.stderr

    monkeypatch.setenv("BURNISH_TOKEN", "of-the-variable")
    assert burnish("token") == Done(0, "of-the-variable\n", "")
