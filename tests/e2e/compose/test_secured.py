"""The same stack with TLS, other credentials, a queue in Postgres, a second trainer and Prometheus, over the data that it had."""

from __future__ import annotations

import json
import re
import secrets
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.command import Run, command
from e2e.compose.conftest import Stack, until
from e2e.compose.environment import REPO
from promql_names import expressions

from burnish_client.sdk.job_spec import tuning_spec
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob

pytestmark = [pytest.mark.timeout(1500), pytest.mark.vllm, pytest.mark.model]
TRAINERS = ("trainer", "trainer-2")
PARTS = (
    "objectstore",
    "curator",
    *TRAINERS,
    "inference",
    "postgres",
    "prometheus",
)  # not Grafana, whose image is pulled
ROTATED = ("BURNISH_TOKEN", "BURNISH_S3_ACCESS_KEY", "BURNISH_S3_SECRET_KEY")
STEPS, INTERVAL = 12, 3
# What has no series until it happens, and did not happen since these containers started.
QUIET = {"Cache hits", "Run log lines and corrections", "Dataset builds"}


@pytest.fixture(scope="module")
def secured(stack: Stack, demo: Path) -> Stack:
    """By the commands of docs/operations.md and the settings that .env.example names."""
    certificates = stack.folder / "tls"
    certificates.mkdir()
    making = re.search(r"For a trial.*?\n```\n(.*?)\n```", (REPO / "docs/operations.md").read_text(), re.DOTALL)
    assert making
    subprocess.run(["bash", "-euo", "pipefail", "-c", making[1]], cwd=certificates, check=True, timeout=60)
    url = re.search(r"^# BURNISH_TRAINER_DATABASE_URL=(\S+)$", (REPO / ".env.example").read_text(), re.MULTILINE)
    assert url
    rotated = {name: secrets.token_hex(32) for name in ROTATED}
    text = (stack.folder / ".env").read_text()
    for name, value in rotated.items():
        text = text.replace(stack.variables[name], value)
    more = f"COMPOSE_PROFILES=postgres\nBURNISH_TRAINER_DATABASE_URL={url[1]}\nBURNISH_TLS_DIR={certificates}\n"
    (stack.folder / ".env").write_text(text + more)
    turned = replace(stack.with_tls(certificates), variables=stack.variables | rotated)
    turned.compose("up", "--build", "--wait", *PARTS, timeout_seconds=900)
    return turned


@pytest.fixture(scope="module")
def logged_in(secured: Stack) -> Run:
    """The command after `burnish login`, with a configuration folder of its own."""
    run = command(XDG_CONFIG_HOME=str(secured.folder / "config"))
    done = run("login", "--env-file", ".env", cwd=secured.folder)
    assert done.returncode == 0, done.stderr
    return run


def listed(run: Run, noun: str, folder: Path) -> list[dict[str, Any]]:
    done = run(noun, "ls", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_login_is_all_that_the_commands_need(secured: Stack, logged_in: Run) -> None:
    status = logged_in("status", cwd=secured.folder)
    assert status.returncode == 0, status.stdout + status.stderr
    assert status.stdout.count("https://") == 2
    assert "grpcs://" in status.stdout
    assert listed(logged_in, "dataset", secured.folder), "the data of before"
    assert listed(logged_in, "jobs", secured.folder) == [], "another queue"


def test_plain_callers_and_strangers_to_the_authority_are_turned_away(secured: Stack, tmp_path: Path) -> None:
    plain = {
        "BURNISH_TOKEN": secured.variables["BURNISH_TOKEN"],
        "BURNISH_CURATOR_URL": secured.url("CURATOR").replace("https", "http"),
        "BURNISH_TRAINER_ADDRESS": f"127.0.0.1:{secured.variables['BURNISH_TRAINER_PORT']}",
    }
    for noun in ("dataset", "jobs"):
        done = command(**plain)(noun, "ls", cwd=tmp_path)
        assert done.returncode == 1
        assert "this endpoint uses TLS: write " in " ".join(done.stderr.split())
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(secured.url("INFERENCE") + "/healthz", timeout=30)
    keys = [secured.variables["BURNISH_S3_ACCESS_KEY"], secured.variables["BURNISH_S3_SECRET_KEY"]]
    assert "UnavailableError" in asked_of_the_store(secured, *keys, secure=False), "the store speaks TLS alone"


def test_the_credentials_of_before_open_nothing(stack: Stack, secured: Stack, tmp_path: Path) -> None:
    run = command(
        BURNISH_TOKEN=stack.variables["BURNISH_TOKEN"],
        BURNISH_CA=str(secured.ca),
        BURNISH_CURATOR_URL=secured.url("CURATOR"),
        BURNISH_TRAINER_ADDRESS=f"grpcs://127.0.0.1:{secured.variables['BURNISH_TRAINER_PORT']}",
    )
    for noun in ("dataset", "jobs"):
        refused = run(noun, "ls", cwd=tmp_path)
        assert refused.returncode == 1
        assert "token" in refused.stderr
    keys = [stack.variables["BURNISH_S3_ACCESS_KEY"], stack.variables["BURNISH_S3_SECRET_KEY"]]
    assert "UnauthenticatedError" in asked_of_the_store(secured, *keys, secure=True)


def test_the_adapter_of_before_answers(secured: Stack, logged_in: Run) -> None:
    made_here = [adapter for adapter in listed(logged_in, "adapters", secured.folder) if "remote" not in adapter]
    adapter = made_here[-1]["name"] + "@latest"
    body = json.dumps({"model": adapter, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}).encode()
    headers = {"Authorization": f"Bearer {secured.variables['BURNISH_TOKEN']}", "Content-Type": "application/json"}
    request = urllib.request.Request(secured.url("INFERENCE") + "/v1/chat/completions", body, headers)
    trusting = ssl.create_default_context(cafile=secured.ca)
    with urllib.request.urlopen(request, timeout=120, context=trusting) as answer:
        assert json.loads(answer.read())["usage"]["completion_tokens"] > 0


def asked_of_the_store(secured: Stack, *keys: str, secure: bool) -> str:
    """What a read from the object store ends in, from the private network."""
    more = ", secure=True, ca=Path('/tls/ca.pem')" if secure else ""
    script = f"""
from pathlib import Path
from burnish.objectstores.s3 import S3ObjectStore
S3ObjectStore('objectstore:8333', *{list(keys)}, 'burnish'{more}).get('x')
"""
    return secured.inside("curator", "python", "-c", script, check=False).stderr


def test_two_trainers_share_the_queue_and_one_takes_over_when_the_other_is_killed(
    secured: Stack, logged_in: Run
) -> None:
    """The database is killed as well while both train."""
    dataset = listed(logged_in, "dataset", secured.folder)[0]
    with secured.trainer() as client:
        jobs = [
            client.create_job(
                tuning_spec(
                    "sft", dataset_name=dataset["name"], dataset_version=dataset["version"], adapter_name=name,
                    max_steps=STEPS, batch_size=2, evaluation_interval_steps=INTERVAL, early_stopping_patience=0,
                )
            ).job_id
            for name in ("one", "other")
        ]  # fmt: skip
        until(
            lambda: all(client.get_job(job_id).progress.step >= INTERVAL for job_id in jobs), 300, "both train at once"
        )
        until(lambda: all(client.list_checkpoints(job_id) for job_id in jobs), 60, "both have a checkpoint")
        (orphan,), (kept,) = (held_by(secured, trainer, jobs) for trainer in reversed(TRAINERS))
        assert orphan != kept
        for service in ("trainer-2", "postgres"):
            secured.kill(service)
        secured.compose("up", "--detach", "--no-build", "postgres")
        for job_id in jobs:
            client.wait(job_id, 600)
            assert client.get_job(job_id).state == TuningJob.STATE_SUCCEEDED, client.get_job(job_id).error
        assert client.get_job(orphan).attempts == 2
        said = [event.message for event in client.events(orphan) if event.message]
        assert any(re.match(r"resumed from step ([3-9]|\d\d)", message) for message in said), said
        for job_id in jobs:
            told = [event.metrics.step for event in client.events(job_id) if event.WhichOneof("event") == "metrics"]
            assert set(told) == set(range(1, STEPS + 1)), "a step is missing"
    assert {adapter["name"] for adapter in listed(logged_in, "adapters", secured.folder)} >= {"one", "other"}
    before = secured.container("trainer", "{{.Id}}")
    secured.compose("up", "--wait", "--no-build", *PARTS)
    assert secured.container("trainer", "{{.Id}}") == before, "what did not die is not started anew"


def held_by(secured: Stack, trainer: str, jobs: list[str]) -> list[str]:
    """Those of the jobs whose work folder is in this container's volume."""
    found = secured.inside(trainer, "ls", "/data/work/jobs").stdout.split()
    return [job_id for job_id in jobs if job_id in found]


def test_prometheus_scrapes_everything_and_every_panel_and_alert_has_an_answer(secured: Stack) -> None:
    endpoints = {"curator": 8701, "inference": 8703, "trainer": 9464, "trainer-2": 9464}
    expected = {f"{name}:{port}": "1" for name, port in endpoints.items()}
    until(lambda: ups(secured) == expected, 120, "all four are up")
    named = [(where, expression.replace("$__rate_interval", "10m")) for where, expression in expressions()]

    def unanswered() -> set[str]:
        answers = asked(secured, [expression for _, expression in named])
        empty = {where for (where, _), result in zip(named, answers, strict=True) if not result}
        return {where.removeprefix("burnish.json: ") for where in empty if not where.startswith("alerts")}

    # A rate needs two scrapes of a series, and these containers have just started.
    try:
        until(lambda: unanswered() <= QUIET, 90, "every panel but those of what never happened has an answer")
    finally:
        print("panels without an answer:", unanswered())
    rules = fetched(secured, "/api/v1/rules")["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == sum("alerts.yml" in where for where, _ in named)


def test_prometheus_demands_the_token_and_notices_that_a_trainer_is_gone(secured: Stack) -> None:
    for token in (None, "x" * 64):
        assert answered(secured, ["/-/ready", "/api/v1/query?query=up"], token) == ["401", "401"]
    secured.kill("trainer-2")
    until(lambda: ups(secured)["trainer-2:9464"] == "0", 60, "trainer-2 is known to be down")
    secured.compose("up", "--wait", "--no-build", "trainer-2")
    until(lambda: ups(secured)["trainer-2:9464"] == "1", 60, "trainer-2 is back")


def ups(secured: Stack) -> dict[str, str]:
    """What the last scrape of each target came to, asked as docs/observability.md does."""
    query = 'query=up{job=~"curator|trainer|inference"}'
    answer = secured.inside("prometheus", "ask.sh", "/api/v1/query", "--data-urlencode", query).stdout
    return {series["metric"]["instance"]: series["value"][1] for series in json.loads(answer)["data"]["result"]}


def fetched(secured: Stack, path: str) -> Any:
    (page,) = answered(secured, [path], secured.variables["BURNISH_TOKEN"])
    return json.loads(page)


def asked(secured: Stack, queries: list[str]) -> list[list[dict[str, Any]]]:
    """The result of each PromQL query, now."""
    paths = ["/api/v1/query?" + urllib.parse.urlencode({"query": query}) for query in queries]
    return [json.loads(page)["data"]["result"] for page in answered(secured, paths, secured.variables["BURNISH_TOKEN"])]


def answered(secured: Stack, paths: list[str], token: str | None) -> list[str]:
    """A line each: the page, or the status of a refusal. Asked as Grafana does: in the private network, whose ports are not published,
    by name, over TLS, as user burnish."""
    script = """
import base64, json, ssl, sys, urllib.error, urllib.request
paths, token = json.loads(sys.argv[1])
headers = {"Authorization": "Basic " + base64.b64encode(f"burnish:{token}".encode()).decode()} if token else {}
trusting = ssl.create_default_context(cafile="/tls/ca.pem")
for path in paths:
    request = urllib.request.Request("https://prometheus:9090" + path, headers=headers)
    try:
        print(urllib.request.urlopen(request, timeout=30, context=trusting).read().decode().strip())
    except urllib.error.HTTPError as error:
        print(error.code)
"""
    return secured.inside("curator", "python", "-c", script, json.dumps([paths, token])).stdout.splitlines()
