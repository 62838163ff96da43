"""Trainers over a real SeaweedFS, on a small random base model and on SmolLM2, and channels to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.trainer.trainer_process import TrainerCalls, TrainerProcess
from unit.trainer.conftest import postgres  # noqa: F401  # a fixture
from unit.trainer.made import put_dataset, sft_rows, tiny_model

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef


@pytest.fixture(scope="session")
def trainer_store(seaweed: Any) -> S3ObjectStore:
    """The bucket that the trainers work on."""
    store: S3ObjectStore = seaweed.store("trainer-integration")
    store.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def store_environment(seaweed: Any, trainer_store: S3ObjectStore) -> dict[str, str]:
    return {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": trainer_store.bucket,
    }


@pytest.fixture(scope="session")
def tiny_base(base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(base_model_dir, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def trainer(
    store_environment: dict[str, str], tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrainerProcess]:
    """A trainer on a small random base model; tests may kill it and start it again, and leave it running."""
    running = TrainerProcess(tmp_path_factory.mktemp("trainer"), tiny_base, store_environment)
    running.start()
    yield running
    running.stop()
    assert running.worker_pids() == []
    assert running.spare_pids() == []


@pytest.fixture
def smollm_trainer(store_environment: dict[str, str], base_model_dir: Path, tmp_path: Path) -> Iterator[TrainerProcess]:
    """A trainer on the real SmolLM2."""
    running = TrainerProcess(tmp_path, base_model_dir, store_environment)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def calls(trainer: TrainerProcess) -> Iterator[TrainerCalls]:
    calls = trainer.call()
    yield calls
    calls.channel.close()


@pytest.fixture(scope="session")
def dataset(trainer_store: S3ObjectStore) -> VersionRef:
    return put_dataset(trainer_store, sft_rows(18), sft_rows(4, "v"))
