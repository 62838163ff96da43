"""An embedded stack for a module of end-to-end tests, started and ended the way a user does it: `burnish up`, `burnish down`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e.command import Run, command


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole stack, vLLM included, on a state folder of its own; `down` at the end must succeed."""
    burnish = command(BURNISH_HOME=str(tmp_path_factory.mktemp("e2e") / ".burnish"))
    started = burnish("up", timeout_seconds=400)
    assert started.returncode == 0, started.stdout + started.stderr
    yield burnish
    ended = burnish("down", timeout_seconds=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
