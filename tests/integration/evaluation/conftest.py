"""A server for the eval client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from integration.evaluation.chat_server import ChatServer, serving


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(ChatServer()) as running:
        yield running
