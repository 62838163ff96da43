"""What the images are: small, labelled, without root and without secrets; and how their containers are shut in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e.compose.conftest import SERVICES, Stack
from e2e.compose.environment import BASE_IMAGE, REPO, why_no_engine

pytestmark = pytest.mark.timeout(1500)
MEGABYTE = 1_000_000
LIMITS = {"objectstore": 300, "curator": 520, "trainer": 2000, "model": 2000, "inference": 4000}


def inspected(stack: Stack, service: str) -> dict[str, Any]:
    image = stack.container(service, "{{.Image}}")
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@pytest.mark.parametrize(("service", "limit"), LIMITS.items())
def test_sizes_and_labels(stack: Stack, service: str, limit: int) -> None:
    image = inspected(stack, service)
    assert image["Size"] < limit * MEGABYTE, f"{image['Size'] / MEGABYTE:.0f} MB"
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.revision"] == "tested"
    assert image["Config"]["User"] == "10001:10001"


@pytest.mark.parametrize("service", [*SERVICES, "model"])
def test_no_secret_is_in_a_layer(stack: Stack, service: str) -> None:
    image = inspected(stack, service)
    history = subprocess.run(
        ["docker", "history", "--no-trunc", image["Id"]], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    text = history + json.dumps(image["Config"])
    for name in ("BURNISH_TOKEN", "BURNISH_S3_ACCESS_KEY", "BURNISH_S3_SECRET_KEY"):
        assert stack.variables[name] not in text
        assert name not in text


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_can_write_only_where_it_says(stack: Stack, service: str) -> None:
    status = stack.inside(service, "cat", "/proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    tried = {
        place: stack.inside(service, "touch", f"{place}/probe", check=False).returncode
        for place in ("/usr", "/etc", "/data", "/tmp")
    }
    assert {place for place, code in tried.items() if code == 0} == {"/data", "/tmp"}
    if service != "objectstore":
        assert stack.inside(service, "touch", "/model/probe", check=False).returncode != 0


def test_only_the_s3_door_of_the_object_store_is_open(stack: Stack) -> None:
    """Its master, volume server and filer ask for no credentials, so nobody else may reach them."""
    script = """
import socket
for port in (8333, 9333, 9340, 8888, 18333, 18888, 19333, 19340, 23646, 33646):
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("objectstore", port)) == 0:
            print(port)
"""
    assert stack.inside("curator", "python", "-c", script).stdout.split() == ["8333"]


@pytest.mark.skipif(bool(why_no_engine()), reason=str(why_no_engine()))
def test_the_build_context_holds_sources_only(tmp_path: Path) -> None:
    """Everything that reaches the builder, seen from the inside."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        f"FROM {BASE_IMAGE} AS all\nCOPY . /context\nRUN find /context -type f >/list\nFROM scratch\nCOPY --from=all /list /list\n"
    )
    subprocess.run(
        ["docker", "build", "-q", "-f", str(dockerfile), "--output", str(tmp_path), str(REPO)],
        capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    sent = [line.removeprefix("/context/") for line in (tmp_path / "list").read_text().splitlines()]
    assert "requirements/curator.lock" in sent
    assert "services/inference/src/burnish_inference/main.py" in sent
    hidden = [path for path in sent if any(part.startswith((".", "__pycache__")) for part in path.split("/"))]
    assert hidden == [], "environments, caches, .git, .env and .burnish stay outside"
    assert {path.split("/")[0] for path in sent} == {"core", "deploy", "protos", "requirements", "scripts", "services"}
    assert len(sent) < 600
