"""Homes of embedded stacks: a fresh one, and ones whose parts run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.client.homes import Here, Home
from whole_stack import WholeStack

from burnish_client.stack import control

VARIABLES = ("BURNISH_TOKEN", "BURNISH_CURATOR_URL", "BURNISH_TRAINER_ADDRESS", "BURNISH_INFERENCE_URL")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A fresh home; whatever a failed test left running in it is ended."""
    made = Home(tmp_path / "home")
    yield made
    control.down(made.path)


def run_stack(folder: Path) -> Iterator[Home]:
    """A home whose object store, curator and trainer run, started by `burnish up`."""
    made = Home(folder / "home")
    started = made.burnish("up", "--without", "inference")
    assert started.returncode == 0, started.stderr
    assert "The stack is up" in started.stdout
    yield made
    control.down(made.path)


@pytest.fixture(scope="module")
def running_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One that a module may kill as it likes."""
    yield from run_stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="session")
def shared_home(whole_stack: WholeStack) -> Home:
    """The home of the session's stack, which keeps running."""
    return whole_stack


@pytest.fixture
def run(shared_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The burnish command in the shared home, at 80 columns."""
    monkeypatch.setenv("BURNISH_HOME", str(shared_home.path))
    monkeypatch.setenv("COLUMNS", "80")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return Here(capsys)
