"""Fake providers, and a job at one of them. These tests call the real SDKs, so they run in .venv-hosted: ../test_sdks.py runs them there."""

from __future__ import annotations

import contextlib
import functools
import itertools
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hosted_fakes import FAKES
from hosted_fakes.server import FakeServer, serving

if find_spec("together") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from integration.trainer.hosted.sdk.hosted_jobs import HostedJob, NewJob, connect_to


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """An SDK's client reads the authorities anew (20 ms of CPU), a test makes hundreds, and the fakes speak plain HTTP."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(params=FAKES, ids=lambda fake: fake.provider)
def fake_kind(request: pytest.FixtureRequest) -> Any:
    """The fake of every provider."""
    return request.param


@pytest.fixture
def server(fake_kind: Any) -> Iterator[FakeServer]:
    with serving(fake_kind()) as server:
        yield server


@pytest.fixture
def job(server: FakeServer, tmp_path: Path) -> HostedJob:
    return HostedJob(server, tmp_path)


@pytest.fixture
def new_job(fake_kind: Any, server: FakeServer, tmp_path: Path) -> Iterator[NewJob]:
    """Each with a provider that has nothing yet, in place of the one before."""
    numbers = itertools.count()
    with contextlib.closing(connect_to(server)) as connected:

        def make() -> HostedJob:
            server.answers, server.faults, server.asked = fake_kind(), [], []
            return HostedJob(server, tmp_path / str(next(numbers)), connected=connected)

        yield make
