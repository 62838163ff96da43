"""Fake providers, and a job at one of them. These tests call the real SDKs, so they run in .venv-hosted: ../test_sdks.py runs them there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer, serving

if find_spec("together") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from integration.trainer.hosted.sdk.hosted_jobs import HostedJob


@pytest.fixture
def openai_server() -> Iterator[FakeServer]:
    with serving(OpenAITuning()) as server:
        yield server


@pytest.fixture
def job(openai_server: FakeServer, tmp_path: Path) -> HostedJob:
    return HostedJob(openai_server, tmp_path)
