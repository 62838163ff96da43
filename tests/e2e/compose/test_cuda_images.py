"""The images of a GPU host build, and have what the locks pin: `BURNISH_TEST_CUDA_IMAGES=1 .venv/bin/python -m pytest tests/e2e/compose/test_cuda_images.py`.

No GPU is needed, only an engine, 60 GB of its disk and twenty minutes: the wheels and vLLM's image are some 25 GB.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.compose.environment import REPO, clean_environment, compose, make_env_file, why_no_engine

ASKED = "BURNISH_TEST_CUDA_IMAGES"
FREE_BYTES = 60 * 10**9
BUILD_SECONDS = 3600
VERSION = "cuda-tested"
INSTALLED = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"

pytestmark = [
    pytest.mark.skipif(ASKED not in os.environ, reason=f"{ASKED} is not set: 25 GB would be fetched"),
    pytest.mark.timeout(2 * BUILD_SECONDS),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails, and does not skip, if it is asked for and cannot be."""
    assert why_no_engine() is None
    root = subprocess.run(["docker", "info", "-f", "{{.DockerRootDir}}"], capture_output=True, text=True, check=True)
    assert shutil.disk_usage(root.stdout.strip()).free > FREE_BYTES, f"{root.stdout.strip()} has less than 60 GB free"
    env_file = tmp_path_factory.mktemp("cuda") / ".env"
    make_env_file(env_file, BURNISH_VERSION=VERSION)
    pairs = (line.split("=", 1) for line in env_file.read_text().splitlines() if line[:1].isupper())
    variables = {name: value for name, value in pairs if name != "BURNISH_WHEELS"}  # a folder of CPU wheels
    words = ("build", "trainer", "model", "inference")
    done = compose(*words, files=("deploy/compose.gpu.yml",), variables=variables, timeout_seconds=BUILD_SECONDS)
    assert done.returncode == 0, done.stderr[-4000:]
    yield
    images = [f"burnish/{name}-cuda:{VERSION}" for name in ("trainer", "model", "inference")]
    subprocess.run(["docker", "image", "rm", *images], env=clean_environment(), check=True, timeout=300)


def run_in(image: str, *argv: str) -> str:
    entry, *rest = argv
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", entry, image, *rest]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def missing(image: str, python: str, *locks: str) -> dict[str, str]:
    """What the locks pin and the image has in another version, or not at all."""
    found = {canonical(name): version for name, version in json.loads(run_in(image, python, "-c", INSTALLED)).items()}
    lines = "\n".join(Path(REPO / "requirements" / lock).read_text() for lock in locks)
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lines, re.MULTILINE)
    return {name: version for name, version in pins if found.get(canonical(name)) != version}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.usefixtures("built")
def test_the_trainers_image_has_what_its_locks_pin_and_torch_loads_for_cuda() -> None:
    image = f"burnish/trainer-cuda:{VERSION}"
    assert missing(image, "python", "trainer.lock", "main-cuda.lock") == {}
    assert run_in(image, "python", "-c", "import torch; print(torch.version.cuda)").startswith("13.")
    assert run_in(image, "gcc", "--version")


@pytest.mark.usefixtures("built")
def test_the_inference_image_has_the_locks_vllm_and_the_services_packages() -> None:
    image = f"burnish/inference-cuda:{VERSION}"
    assert missing(image, "python3", "inference-plugin.lock") == {}
    vllm = run_in(image, "python3", "-c", "import importlib.metadata as m; print(m.version('vllm'))").strip()
    assert f"\nvllm=={vllm} " in (REPO / "requirements/inference-cuda.lock").read_text()
    assert "burnish_inference" in run_in(
        image, "python3", "-c", "import burnish_inference; print(burnish_inference.__file__)"
    )
