"""The command in the home of the session's stack."""

from __future__ import annotations

import pytest
from e2e.command import Run, command
from whole_stack import WholeStack


@pytest.fixture(scope="session")
def stack(whole_stack: WholeStack) -> Run:
    return command(BURNISH_HOME=str(whole_stack.path))
