"""The stack of test_loop under deploy/compose.hosted.yml, set up as docs/hosted.md says, with a provider in a container beside it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.command import Run, command
from e2e.compose.conftest import Stack, until
from e2e.compose.environment import REPO
from testcontainers.compose import DockerCompose

pytestmark = [pytest.mark.timeout(900), pytest.mark.vllm, pytest.mark.model]
MODEL = "gpt-4.1-nano"
PRICES = {
    "prices": [{"provider": "openai", "model": MODEL, "usd_per_million_tokens": {"sft": 1.5}, "date": "2026-11-01"}]
}
# The fakes need Python and nothing else: the curator's image has it.
PROVIDER = """
services:
  provider:
    image: burnish/curator:${{BURNISH_VERSION:-local}}
    pull_policy: never
    init: true
    entrypoint: [python, -m, hosted_fakes, "8080", {token}]
    environment: {{ PYTHONPATH: /tests }}
    networks: [private]
    volumes: ["{tests}:/tests:ro"]
    healthcheck:
      test: [CMD, python, -c, "import socket; socket.create_connection(('127.0.0.1', 8080))"]
      interval: 2s
"""


@pytest.fixture(scope="module")
def key() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def hosted(stack: Stack, demo: Path, key: str) -> Iterator[Stack]:
    """The trainer with a provider's key; afterwards it is as it was."""
    folder = stack.folder / "providers"
    folder.mkdir()
    (folder / "secrets").write_text(f"OPENAI_API_KEY={key}\nOPENAI_BASE_URL=http://provider:8080/v1\n")
    (folder / "prices.json").write_text(json.dumps(PRICES))
    guarding = re.search(
        r"as root: `(chown 10001 secrets && chmod 600 secrets)`", (REPO / "docs/hosted.md").read_text()
    )
    assert guarding
    subprocess.run(["sh", "-ec", guarding[1]], cwd=folder, check=True, timeout=30)
    (stack.folder / "provider.yml").write_text(PROVIDER.format(token=key, tests=REPO / "tests"))
    settings = f"BURNISH_PROVIDERS_DIR={folder}\nBURNISH_TRAINER_PRICES=/providers/prices.json\n"
    (stack.folder / "hosted.env").write_text((stack.folder / ".env").read_text() + settings)
    files = [
        *(stack.engine.compose_file_name or ()),
        "deploy/compose.hosted.yml",
        str(stack.folder / "provider.yml"),
    ]
    engine = DockerCompose(REPO, compose_file_name=files, env_file=str(stack.folder / "hosted.env"))
    turned = replace(stack, engine=engine)
    try:
        turned.compose("up", "--wait", "--no-build", "curator", "trainer", "provider")
        yield turned
    finally:
        turned.compose("rm", "--stop", "--force", "provider", check=False)
        stack.compose("up", "--wait", "--no-build", "trainer", check=False)


@pytest.fixture(scope="module")
def burnish(hosted: Stack) -> Run:
    return command(
        BURNISH_TOKEN=hosted.variables["BURNISH_TOKEN"],
        BURNISH_CURATOR_URL=hosted.url("CURATOR"),
        BURNISH_TRAINER_ADDRESS=f"127.0.0.1:{hosted.variables['BURNISH_TRAINER_PORT']}",
    )


def test_a_provider_trains_the_dataset_and_its_key_is_in_the_file_alone(hosted: Stack, burnish: Run, key: str) -> None:
    dataset = said(burnish, hosted, "dataset", "ls", "--json")[0]
    version = f"{dataset['name']}@{dataset['version']}"
    words = ("--dataset", version, "--adapter", "bought", "--on", f"openai:{MODEL}", "--spend-limit", "5")
    trained = burnish("train", "sft", *words, "--follow", cwd=hosted.folder)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (model,) = [
        job["remote_model"]["model"] for job in said(burnish, hosted, "jobs", "ls", "--json") if "remote_model" in job
    ]
    assert model in " ".join(trained.stdout.split())
    until(lambda: at_the_provider(hosted, key, "/v1/files") == [], 60, "the uploaded rows are deleted there")
    (job,) = at_the_provider(hosted, key, "/v1/fine_tuning/jobs")
    assert job["fine_tuned_model"] == model

    assert key not in trained.stdout + trained.stderr
    for service in ("objectstore", "curator", "trainer"):
        assert key not in hosted.container(service, "{{json .}}"), service
        found = hosted.inside(service, "grep", "-rl", key, "/data", check=False)
        assert (found.returncode, found.stdout) == (1, ""), service
    assert key not in hosted.compose("logs", "curator", "trainer").stdout


def said(burnish: Run, hosted: Stack, *words: str) -> list[dict[str, Any]]:
    done = burnish(*words, cwd=hosted.folder)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def at_the_provider(hosted: Stack, key: str, path: str) -> list[dict[str, Any]]:
    """What the provider lists, asked from the private network."""
    script = f"""
import urllib.request
request = urllib.request.Request("http://provider:8080{path}", headers={{"Authorization": "Bearer {key}"}})
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""
    found: list[dict[str, Any]] = json.loads(hosted.inside("curator", "python", "-c", script).stdout)["data"]
    return found
