"""Homes of embedded stacks: a fresh one, and one whose parts run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.client.homes import Home

from burnish_client.stack import control


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A fresh home; whatever a failed test left running in it is ended."""
    made = Home(tmp_path / "home")
    yield made
    control.down(made.path)


@pytest.fixture(scope="module")
def running_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose object store, curator and trainer run, started by `burnish up`."""
    made = Home(tmp_path_factory.mktemp("stack") / "home")
    started = made.burnish("up", "--without", "inference")
    assert started.returncode == 0, started.stderr
    assert "The stack is up" in started.stdout
    yield made
    control.down(made.path)
