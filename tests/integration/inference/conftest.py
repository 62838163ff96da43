"""The inference service of the session's stack: a real one, before a real vLLM with SmolLM2 in float32, over a real object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from inference_server import InferenceServer, find_python
from whole_stack import WholeStack

from burnish.objectstores.s3 import S3ObjectStore

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: spinning threads would starve vLLM


@pytest.fixture(scope="session")
def inference_python() -> Path:
    """The interpreter that has vLLM."""
    return find_python()


@pytest.fixture(scope="session")
def bucket(whole_stack: WholeStack) -> S3ObjectStore:
    """What the service serves adapters from."""
    return whole_stack.store()


@pytest.fixture(scope="session")
def server(whole_stack: WholeStack) -> Iterator[InferenceServer]:
    """It answers when a test begins; after its engine was killed, wait_ready."""
    server = whole_stack.inference()
    yield server
    server.http.close()
