"""Fake providers, and a job at one of them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer, serving
from integration.trainer.hosted.hosted_jobs import HostedJob


@pytest.fixture(scope="session", autouse=True)
def sdk() -> None:
    if find_spec("openai") is None:
        pytest.skip("the SDK openai is not installed: run `make setup`")


@pytest.fixture
def openai_server() -> Iterator[FakeServer]:
    with serving(OpenAITuning()) as server:
        yield server


@pytest.fixture
def job(openai_server: FakeServer, tmp_path: Path) -> HostedJob:
    return HostedJob(openai_server, tmp_path)
