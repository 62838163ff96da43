"""`burnish up --model NAME`: a stack of its own on a base model that was added by name, from training to `model rm`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from families.models import BY_NAME, make
from integration.client.homes import Home
from integration.client.test_model_commands import added
from unit.trainer.made import put_dataset, sft_rows

from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.stack import control
from burnish_client.stack.settings import StackSettings

pytestmark = [pytest.mark.model, pytest.mark.vllm, pytest.mark.timeout(1500)]
SMALL = ["--rank", "4", "--batch-size", "4", "--max-steps", "4", "--evaluation-interval-steps", "4"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Two base models of the same weights, and a stack on the one named tiny."""
    home = Home(tmp_path / "home")
    settings = StackSettings(home=home.path, base_model=tmp_path / "none")
    make(BY_NAME["qwen-2.5"], tmp_path / "tiny")
    shutil.copytree(tmp_path / "tiny", tmp_path / "twin")
    for name in ("tiny", "twin"):
        added(tmp_path / name, settings, name)
    started = home.burnish(
        *("up", "--model", "tiny"),
        timeout_seconds=900,
        BURNISH_INFERENCE_DTYPE="float32",
        BURNISH_INFERENCE_MAX_MODEL_LEN="512",
        OMP_NUM_THREADS=str(os.cpu_count()),
    )
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield home
    finally:
        control.down(home.path)


def test_a_stack_trains_and_serves_the_model_that_it_was_started_on(home: Home) -> None:
    state = home.state()
    store = S3ObjectStore(state["s3_endpoint"], state["s3_access_key"], state["s3_secret_key"], "burnish")
    dataset = put_dataset(store, sft_rows(16), sft_rows(4, "v"))
    command = ["train", "sft", "--dataset", f"{dataset.name}@{dataset.version}", *SMALL]
    refused = home.burnish(*command, "--base-model", "other")
    assert refused.returncode == 1
    assert "tiny" in refused.stderr
    trained = home.burnish(*command, "--base-model", "tiny", "--follow", timeout_seconds=600)
    assert trained.returncode == 0, trained.stderr
    (adapter,) = home.json("adapters", "ls")
    name = f"{adapter['name']}@{adapter['version']}"
    assert adapter["base_model"]["name"] == "tiny"

    question = {"messages": [{"role": "user", "content": "Which colour?"}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {state['token']}"}
    with httpx.Client(base_url=state["inference_url"], headers=headers, timeout=120, trust_env=False) as http:
        assert {"tiny", name} <= {model["id"] for model in http.get("/v1/models").json()["data"]}
        for model in ("tiny", name):
            answer = http.post("/v1/chat/completions", json={"model": model, **question})
            assert answer.status_code == 200, answer.text

    listed = {model["name"]: model["in_use"] for model in home.json("model", "ls")}
    assert {"tiny": True, "twin": False}.items() <= listed.items()
    used = home.burnish("model", "rm", "tiny")
    assert (used.returncode, "the stack runs on" in used.stderr.replace("\n", " ")) == (1, True), used.stderr
    held = home.burnish("model", "rm", "twin")
    assert held.returncode == 1
    assert f"of 1 adapter ({name})" in held.stderr.replace("\n", " ")
    assert home.burnish("adapters", "rm", name).returncode == 0
    assert home.burnish("model", "rm", "twin").returncode == 0
