"""One authority, and the three real services behind certificates of it and in plain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_making import Authority
from integration.access.services import Services, running, store_variables

from burnish.testing import Seaweed


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other-authority"), "another authority")


@pytest.fixture(scope="session")
def over_tls(
    tmp_path_factory: pytest.TempPathFactory, seaweed: Seaweed, base_model_dir: Path, authority: Authority
) -> Iterator[Services]:
    """For 127.0.0.1 only, so that `localhost` is another host's name to them."""
    pair = authority.issue("services", ("127.0.0.1",))
    with running(tmp_path_factory.mktemp("tls") / "run", store_variables(seaweed), base_model_dir, pair) as services:
        yield services


@pytest.fixture(scope="session")
def in_plain(tmp_path_factory: pytest.TempPathFactory, seaweed: Seaweed, base_model_dir: Path) -> Iterator[Services]:
    with running(tmp_path_factory.mktemp("plain") / "run", store_variables(seaweed), base_model_dir) as services:
        yield services
