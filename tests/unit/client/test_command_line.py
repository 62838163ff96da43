"""The burnish command as a process: quick to start, one-line errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from burnish_client.cli import app as cli


def burnish(*arguments: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BURNISH_")}
    environment |= {"BURNISH_HOME": str(home), "COLUMNS": "80", **variables}
    return subprocess.run(
        [sys.executable, "-m", "burnish_client.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_importing_the_command_loads_nothing_heavy() -> None:
    heavy = ["httpx", "grpc", "numpy", "pyarrow", "scipy", "pydantic.main", "torch", "burnish_client.stack.supervisor"]
    code = f"import sys, burnish_client.cli.app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_command_has_help_within_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = ["up", "status", "down", "login", "logout", "demo", "diagnose", "eval", "verdict"]
    commands += [
        "runs import",
        "runs ls",
        "runs show",
        "runs rejected",
        "benchmark run",
        "review export",
        "review import",
        "dataset build",
        "dataset ls",
    ]
    commands += ["dataset show", "dataset export", "train sft", "train dpo", "jobs ls", "jobs show", "jobs watch"]
    commands += ["train kto", "train orpo", "train simpo", "jobs pause", "jobs resume", "jobs checkpoints"]
    commands += ["jobs publish", "jobs metrics"]
    commands += ["jobs cancel", "adapters ls", "adapters show", "benchmark import", "benchmark ls", "benchmark show"]
    for command in commands:
        assert cli.run([*command.split(), "--help"]) == 0, command
        text = capsys.readouterr().out
        assert all(len(line) <= 80 for line in text.splitlines()), command
        assert "…" not in text, f"{command}: an option's name is cut short"


def test_a_wrong_command_line_is_bad_input(tmp_path: Path) -> None:
    done = burnish("jobs", "ls", "--limit", "many", home=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: Invalid value for '--limit'")
    assert "hint: `burnish jobs ls --help`" in done.stderr


def test_without_a_stack_each_door_says_how_to_get_one(tmp_path: Path) -> None:
    for arguments in (["runs", "ls", "--json"], ["jobs", "ls"], ["adapters", "ls"]):
        done = burnish(*arguments, home=tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "run `burnish up`" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_address_where_nobody_listens_is_named(tmp_path: Path) -> None:
    done = burnish("jobs", "ls", home=tmp_path, BURNISH_TRAINER_ADDRESS="127.0.0.1:9", BURNISH_TOKEN="t")
    assert done.returncode == 1
    assert "trainer at 127.0.0.1:9 cannot be reached" in done.stderr


def test_status_without_a_stack(tmp_path: Path) -> None:
    done = burnish("status", "--json", home=tmp_path)
    assert done.returncode == 1
    assert '"phase": "stopped"' in done.stdout


def test_no_arguments_show_the_help_and_no_error_line(tmp_path: Path) -> None:
    done = burnish(home=tmp_path)
    assert done.returncode == 2
    assert "Usage: burnish" in done.stdout
    assert "error" not in done.stderr


def test_a_missing_base_model_says_make_setup(tmp_path: Path) -> None:
    done = burnish("up", home=tmp_path / "home", BURNISH_BASE_MODEL=str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "run `make setup`" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "home").exists()


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = burnish("runs", "ls", home=tmp_path, BURNISH_DEBUG="1")
    assert "Traceback" in done.stderr
    assert "PreconditionError" in done.stderr
