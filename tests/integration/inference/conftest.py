"""One real inference front over a real object store, for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from inference_front import Front, find_python, started
from otlp_receiver import Receiver, receiving

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: spinning threads would starve vLLM
BUCKET = "inference-test"


@pytest.fixture(scope="session")
def inference_python() -> Path:
    """The interpreter that has vLLM."""
    return find_python()


@pytest.fixture(scope="session")
def bucket(seaweed):
    store = seaweed.store(BUCKET)
    store.ensure_bucket()
    return store


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Takes the spans of the front and its vLLM."""
    with receiving() as server:
        yield server


@pytest.fixture(scope="session")
def front(
    seaweed, bucket, receiver: Receiver, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """Started, not yet ready: call wait_ready, so that other preparation runs meanwhile. float32, where answers are exact."""
    settings = {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": BUCKET,
        "BURNISH_INFERENCE_BASE_MODEL": str(base_model_dir),
        "BURNISH_INFERENCE_DTYPE": "float32",
        "BURNISH_INFERENCE_MAX_LORAS": "2",
        "BURNISH_INFERENCE_MAX_CPU_LORAS": "2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
    }
    with started(tmp_path_factory.mktemp("inference"), settings) as front:
        yield front
