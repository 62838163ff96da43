"""`docker compose config` of every combination of files and profiles, and what must hold in each. No engine is needed."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.compose.environment import REPO, clean_environment, compose, why_no_command

SECRETS = {
    "BURNISH_TOKEN": "t" * 64,
    "BURNISH_S3_ACCESS_KEY": "a" * 20,
    "BURNISH_S3_SECRET_KEY": "s" * 64,
    "BURNISH_POSTGRES_PASSWORD": "p" * 64,
    "BURNISH_GRAFANA_PASSWORD": "g" * 64,
}
MORE = {
    "BURNISH_TLS_DIR": "/etc/burnish/tls",
    "BURNISH_WHEELS": "/srv/wheels",
    "BURNISH_PROVIDERS_DIR": "/etc/burnish/providers",
}
FILES = ("deploy/compose.gpu.yml", "deploy/compose.tls.yml", "deploy/compose.wheels.yml")
PROFILES = ("postgres", "observability")
COMBINATIONS = [
    (files, profiles)
    for files in itertools.chain.from_iterable(itertools.combinations(FILES, n) for n in range(len(FILES) + 1))
    for profiles in itertools.chain.from_iterable(itertools.combinations(PROFILES, n) for n in range(len(PROFILES) + 1))
]
OURS = {"objectstore", "model", "curator", "trainer", "inference"}
DOORS = {"curator": 8701, "trainer": 8702, "inference": 8703}
needs_command = pytest.mark.skipif(bool(why_no_command()), reason=str(why_no_command()))


def configuration(files: tuple[str, ...] = (), profiles: tuple[str, ...] = (), **variables: str) -> dict[str, Any]:
    chosen = {**SECRETS, **MORE, "COMPOSE_PROFILES": ",".join(profiles), **variables}
    done = compose("config", "--format", "json", files=files, variables=chosen)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


@needs_command
@pytest.mark.parametrize(("files", "profiles"), COMBINATIONS)
def test_what_holds_in_every_combination(files: tuple[str, ...], profiles: tuple[str, ...]) -> None:
    services = configuration(files, profiles)["services"]
    more = {"postgres": {"postgres", "trainer-2"}, "observability": {"prometheus", "grafana"}}
    assert set(services) == OURS.union(*(more[profile] for profile in profiles))
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["logging"]["options"]["max-size"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["restart"] == ("no" if name == "model" else "unless-stopped"), name
        assert service.get("read_only"), name
        assert not {"privileged", "ipc", "pid"} & set(service), name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
    builders = Counter(service["image"] for service in services.values() if "build" in service)
    assert set(builders.values()) == {1}, (
        "two builds of one tag are two images: the next `up` starts the first container anew"
    )
    for name, service in services.items():
        assert service["image"] not in builders or "build" in service or service["pull_policy"] == "never", name
    published = {name: {p["target"] for p in s["ports"]} for name, s in services.items() if s.get("ports")}
    expected = {name: {port} for name, port in DOORS.items()}
    assert published == (expected | {"grafana": {3000}} if "observability" in profiles else expected)


@needs_command
def test_the_parts_wait_for_what_they_need_and_have_time_to_end() -> None:
    services = configuration(profiles=("postgres",))["services"]
    for name in ("curator", "trainer", "trainer-2", "inference"):
        needs = {need: rule["condition"] for need, rule in services[name]["depends_on"].items()}
        assert needs["objectstore"] == "service_healthy", name
        assert needs["model"] == "service_completed_successfully", name
    assert services["trainer"]["depends_on"]["postgres"] == {"condition": "service_healthy", "required": False}
    assert services["trainer-2"]["depends_on"]["postgres"]["required"] is True
    graces = {name: services[name]["stop_grace_period"] for name in ("trainer", "inference", "curator")}
    assert graces == {"trainer": "1m15s", "inference": "30s", "curator": "20s"}
    assert services["trainer-2"]["volumes"][0]["source"] != services["trainer"]["volumes"][0]["source"]


@needs_command
def test_the_private_network_leads_nowhere() -> None:
    stack = configuration(profiles=PROFILES)
    assert stack["networks"]["private"]["internal"] is True
    networks = {name: set(service.get("networks", ())) for name, service in stack["services"].items()}
    inside = {"objectstore", "postgres", "prometheus"}
    assert all(networks[name] == {"private"} for name in inside)
    assert all(networks[name] == {"private", "published"} for name in set(networks) - inside - {"model"}), (
        "traces go out"
    )
    assert stack["services"]["model"]["network_mode"] == "none"


@needs_command
def test_the_gpu_override() -> None:
    services = configuration(("deploy/compose.gpu.yml",), BURNISH_TRAINER_GPUS="0,1", BURNISH_INFERENCE_GPUS="2")[
        "services"
    ]
    for name in ("trainer", "inference"):
        device = services[name]["deploy"]["resources"]["reservations"]["devices"][0]
        assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", -1, ["gpu"]), name
        assert int(services[name]["shm_size"]) >= 2**33, name
        assert services[name]["image"].startswith(f"burnish/{name}-cuda:"), name
    assert services["trainer"]["build"]["args"]["DEVICE"] == services["model"]["build"]["args"]["DEVICE"] == "cuda"
    assert services["inference"]["build"]["target"] == "cuda"
    assert services["trainer"]["environment"]["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert services["inference"]["environment"]["CUDA_VISIBLE_DEVICES"] == "2"


@needs_command
def test_the_trainers_read_the_providers_credentials_from_a_file_and_nobody_else_does() -> None:
    services = configuration(("deploy/compose.hosted.yml",), PROFILES)["services"]
    for name, service in services.items():
        mounts = [volume for volume in service.get("volumes", ()) if volume["target"] == "/providers"]
        if name in ("trainer", "trainer-2"):
            assert service["environment"]["BURNISH_TRAINER_SECRETS_FILE"] == "/providers/secrets"
            assert [(mount["source"], mount["read_only"]) for mount in mounts] == [("/etc/burnish/providers", True)]
            assert "/data" in {volume["target"] for volume in service["volumes"]}
        else:
            assert not mounts, name


@needs_command
def test_on_a_gpu_host_a_job_asks_serving_for_the_card() -> None:
    files = ("deploy/compose.gpu.yml",)
    plain = configuration(files, BURNISH_TLS_DIR="")["services"]
    assert plain["trainer"]["environment"]["BURNISH_TRAINER_INFERENCE_URL"] == "http://inference:8703"
    assert plain["trainer"]["environment"]["BURNISH_TRAINER_INFERENCE_CA"] == ""
    assert plain["inference"]["environment"]["BURNISH_INFERENCE_SHARING"] == "auto"
    assert plain["inference"]["environment"]["BURNISH_INFERENCE_GPU_MEMORY_SHARE"] == ""
    over_tls = configuration((*files, "deploy/compose.tls.yml"))["services"]["trainer"]["environment"]
    assert over_tls["BURNISH_TRAINER_INFERENCE_URL"] == "https://inference:8703"
    assert over_tls["BURNISH_TRAINER_INFERENCE_CA"] == "/tls/ca.pem"
    nobody = configuration(files, BURNISH_TRAINER_INFERENCE_URL="")["services"]["trainer"]["environment"]
    assert nobody["BURNISH_TRAINER_INFERENCE_URL"] == ""


def test_the_cuda_image_is_the_vllm_that_the_lock_pins() -> None:
    lock = (REPO / "requirements/inference-cuda.lock").read_text()
    pinned = re.search(r"^vllm==(\S+) ", lock, re.MULTILINE)
    dockerfile = (REPO / "services/inference/Dockerfile").read_text()
    assert pinned
    assert f"ARG VLLM={pinned[1]}\n" in dockerfile
    assert "vllm/vllm-openai:v${VLLM}" in dockerfile


@needs_command
def test_the_tls_override_gives_everybody_the_certificate_and_the_authority() -> None:
    services = configuration(("deploy/compose.tls.yml",), PROFILES)["services"]
    for name in ("objectstore", "curator", "trainer", "trainer-2", "inference", "prometheus"):
        environment = services[name]["environment"]
        assert environment["BURNISH_TLS_CERTIFICATE"] == "/tls/server.pem", name
        assert environment["BURNISH_TLS_KEY"] == "/tls/server.key", name
        assert {"/tls"} == {
            v["target"] for v in services[name]["volumes"] if v.get("read_only") and v["target"] == "/tls"
        }
    assert services["curator"]["environment"]["BURNISH_S3_SECURE"] == "true"
    assert services["curator"]["environment"]["BURNISH_S3_CA"] == "/tls/ca.pem"
    grafana = services["grafana"]
    assert grafana["user"].split(":")[0] == "10001", "who may read the key"
    assert "/tls" in {volume["target"] for volume in grafana["volumes"]}
    assert grafana["environment"]["GF_SERVER_PROTOCOL"] == "https"
    assert grafana["environment"]["BURNISH_PROMETHEUS_URL"] == "https://prometheus:9090"
    assert grafana["healthcheck"]["test"][-1].startswith("https://")


@needs_command
def test_a_model_of_ones_own_is_mounted_read_only_everywhere() -> None:
    services = configuration(BURNISH_BASE_MODEL="/srv/models/mine")["services"]
    for name in ("model", "curator", "trainer", "inference"):
        mount = next(v for v in services[name]["volumes"] if v["target"] == "/model")
        assert (mount["type"], mount["source"], mount.get("read_only")) == ("bind", "/srv/models/mine", True), name
    own = {
        name: next(v for v in s["volumes"] if v["target"] == "/model")
        for name, s in configuration()["services"].items()
        if name != "objectstore"
    }
    assert {name: mount.get("read_only", False) for name, mount in own.items()} == {
        "model": False, "curator": True, "trainer": True, "inference": True,
    }  # fmt: skip


@needs_command
@pytest.mark.parametrize(
    "name", ["BURNISH_TOKEN", "BURNISH_S3_ACCESS_KEY", "BURNISH_S3_SECRET_KEY", "BURNISH_GRAFANA_PASSWORD"]
)
@pytest.mark.parametrize("value", [None, ""])
def test_no_stack_without_credentials(name: str, value: str | None) -> None:
    variables = {k: v for k, v in SECRETS.items() if k != name} | ({} if value is None else {name: value})
    done = compose("config", "-q", variables=variables)
    assert done.returncode != 0
    assert f"{name}" in done.stderr
    assert "run make secrets" in done.stderr


def test_secrets_are_fresh_private_and_never_overwritten(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        target = tmp_path / name
        assert run_secrets(target).returncode == 0
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        written.append(dict(line.split("=", 1) for line in target.read_text().splitlines() if re.match(r"[A-Z]", line)))
    assert set(written[0]) == set(SECRETS)
    assert all(re.fullmatch(r"[0-9a-f]{20,64}", value) for value in written[0].values())
    assert not set(written[0].values()) & set(written[1].values())
    before = (tmp_path / "one").read_text()
    again = run_secrets(tmp_path / "one")
    assert again.returncode == 1
    assert "already exists" in again.stderr
    assert (tmp_path / "one").read_text() == before


def test_with_two_gpus_or_more_vllm_has_the_first_and_the_trainer_the_others(tmp_path: Path) -> None:
    listing = "".join(f"GPU {number}: NVIDIA A10 (UUID: GPU-{number})\\n" for number in range(3))
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\nprintf '{listing}'\n")
    driver.chmod(0o755)
    assert run_secrets(tmp_path / "env", PATH=f"{tmp_path}:{os.environ['PATH']}").returncode == 0
    lines = (tmp_path / "env").read_text().splitlines()
    assert {"BURNISH_TRAINER_GPUS=1,2", "#BURNISH_INFERENCE_GPUS=0"} <= set(lines)


def run_secrets(target: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    script = str(REPO / "scripts/secrets.sh")
    return subprocess.run(
        [script, str(target)],
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_variable_is_documented_and_nothing_else() -> None:
    """.env.example has each variable that a compose file reads, with the same default, and none that no file reads."""
    read: dict[str, set[str]] = {}
    for path in [REPO / "docker-compose.yml", *sorted((REPO / "deploy").glob("compose.*.yml"))]:
        text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)
        for name, default in re.findall(r"\$\{([A-Z0-9_]+)(?::?([-?+](?:[^{}]|\$\{[^}]*\})*))?\}", text):
            read.setdefault(name, set()).add(default.removeprefix("-") if default.startswith("-") else "")
    example = (REPO / ".env.example").read_text()
    documented = dict(re.findall(r"^#?((?:BURNISH|OTEL|COMPOSE)_[A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    compose_own = {"COMPOSE_FILE", "COMPOSE_PROFILES"}
    assert set(documented) - compose_own == set(read)
    by_gpu_file = {"BURNISH_TRAINER_MEMORY", "BURNISH_INFERENCE_MEMORY"}
    volume = {"BURNISH_BASE_MODEL"}
    for name, defaults in read.items():
        if name not in by_gpu_file | volume:
            assert documented[name] in defaults, f"{name}: documented {documented[name]!r}, read with {defaults}"


def test_every_service_variable_stands_in_the_architecture() -> None:
    table = (REPO / "ARCHITECTURE.md").read_text()
    stack = yaml.safe_load((REPO / "docker-compose.yml").read_text())
    for service in ("curator", "trainer", "inference"):
        for name in stack["services"][service]["environment"]:
            short = f"`_{name.removeprefix(f'BURNISH_{service.upper()}_')}`"
            assert name in table or short in table, name
