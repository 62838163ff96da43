"""One real inference front with vLLM behind it, and adapters whose answers Hugging Face and PEFT have computed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: spinning threads would starve vLLM
TOKEN = "test-token-of-the-inference-front"
START_LIMIT_SECONDS = 240


@dataclass
class Front:
    """A running `python -m burnish_inference.main`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    cache_dir: Path
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=120, trust_env=False
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def wait_ready(self, limit_seconds: float = START_LIMIT_SECONDS) -> None:
        deadline = time.monotonic() + limit_seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the front is not ready; the end of its log:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)


def find_python() -> Path:
    repository = Path(__file__).resolve().parents[3]
    python = Path(os.environ.get("BURNISH_INFERENCE_PYTHON", repository / ".venv-inference/bin/python"))
    if not python.exists():
        pytest.fail(f"no Python with vLLM at {python}: run `make setup`")
    return python


@pytest.fixture(scope="session")
def inference_python() -> Path:
    """The interpreter that has vLLM."""
    return find_python()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def front(
    seaweed, base_model_dir: Path, inference_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:  # type: ignore[no-untyped-def]
    """Started, not yet ready: call wait_ready, so that other preparation runs meanwhile. float32, where answers are exact."""
    folder = tmp_path_factory.mktemp("inference")
    seaweed.store("inference-test").ensure_bucket()
    port = free_port()
    environment = os.environ | {
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": "inference-test",
        "BURNISH_TOKEN": TOKEN,
        "BURNISH_INFERENCE_PORT": str(port),
        "BURNISH_INFERENCE_BASE_MODEL": str(base_model_dir),
        "BURNISH_INFERENCE_CACHE_DIR": str(folder / "cache"),
        "BURNISH_INFERENCE_DTYPE": "float32",
        "BURNISH_INFERENCE_MAX_LORAS": "2",
        "BURNISH_INFERENCE_MAX_CPU_LORAS": "2",
    }
    with (folder / "front.log").open("wb") as log:
        process = subprocess.Popen(
            [str(inference_python), "-m", "burnish_inference.main"], env=environment, stdout=log, stderr=log
        )
    front = Front(process, port, folder / "front.log", folder / "cache")
    try:
        yield front
    finally:
        front.http.close()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
