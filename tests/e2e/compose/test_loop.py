"""The main job through the containers, by the `burnish` command on the host, every service crashed once in the middle of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from e2e.command import BURNISH
from e2e.compose.conftest import SERVICES, Stack, until
from e2e.compose.environment import REPO, clean_environment

from burnish.errors import UnauthenticatedError
from burnish_client.sdk.job_spec import tuning_spec

pytestmark = [pytest.mark.timeout(1500), pytest.mark.vllm, pytest.mark.model]
WRONG = "w" * 64
BACKED_UP = ("objectstore", "curator", "trainer")


def status_of(url: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def listed(stack: Stack, noun: str) -> list[dict[str, Any]]:
    """What `burnish NOUN ls` lists on the host, which knows the stack by its variables alone."""
    environment = clean_environment(
        BURNISH_TOKEN=stack.variables["BURNISH_TOKEN"],
        BURNISH_CURATOR_URL=stack.url("CURATOR"),
        BURNISH_TRAINER_ADDRESS=f"127.0.0.1:{stack.variables['BURNISH_TRAINER_PORT']}",
        BURNISH_INFERENCE_URL=stack.url("INFERENCE"),
    )
    done = subprocess.run(
        [str(BURNISH), noun, "ls", "--json"], cwd=stack.folder, env=environment, capture_output=True, text=True, timeout=120, check=True
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_door_refuses_a_wrong_token(stack: Stack) -> None:
    for door, path in (("CURATOR", "/v1/runlogs"), ("INFERENCE", "/v1/models")):
        given = [status_of(stack.url(door) + path, token) for token in (WRONG, None, stack.variables["BURNISH_TOKEN"])]
        assert given == [401, 401, 200], door
        assert [status_of(stack.url(door) + "/metrics", token) for token in (WRONG, None)] == [401, 401], door
    with stack.trainer(WRONG) as client, pytest.raises(UnauthenticatedError):
        client.list_jobs(limit=1)
    script = f"from burnish.objectstores.s3 import S3ObjectStore as S; S('objectstore:8333', 'k' * 20, '{WRONG}', 'burnish').get('x')"
    refused = stack.inside("curator", "python", "-c", script, check=False)
    assert "UnauthenticatedError" in refused.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_starts_on_empty_credentials(stack: Stack, service: str) -> None:
    """Also where compose's own check is passed by: the image itself refuses."""
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID") if service == "objectstore" else ("BURNISH_TOKEN",)
    empty = [word for name in names for word in ("-e", f"{name}=")]
    done = stack.compose("run", "--rm", "--no-deps", "-T", *empty, service, check=False, timeout_seconds=120)
    assert done.returncode not in (0, 137), done.stdout


def test_the_loop_ends_although_every_service_crashed_and_was_started_again(stack: Stack, demo: Path) -> None:
    verdict = json.loads((demo / "verdict.json").read_text())
    assert verdict["targeted"]["delta"] > 0.3
    assert verdict["targeted"]["p_value"] < 0.05


def test_nothing_was_lost(stack: Stack, demo: Path) -> None:
    jobs = listed(stack, "jobs")
    assert [job["state"] for job in jobs] == ["STATE_SUCCEEDED"], jobs
    assert jobs[0]["attempts"] >= 2
    rows = [
        json.loads(line) for name in ("base", "candidate") for line in (demo / f"{name}.jsonl").read_text().splitlines()
    ]
    assert not [row for row in rows if row.get("error")]
    assert len(listed(stack, "adapters")) == len(listed(stack, "dataset")) == 1


def test_one_trace_id_leads_from_the_command_to_the_worker_in_logs_of_json(stack: Stack, demo: Path) -> None:
    job_id = listed(stack, "jobs")[0]["job_id"]
    logs = {service: logged(stack, service) for service in ("curator", "trainer", "inference")}
    (trace_id,) = {
        line["trace_id"]
        for line in logs["trainer"]
        if line["logger"] == "burnish_trainer.scheduler.attempt" and line["job_id"] == job_id
    }
    for service, lines in logs.items():
        assert [line for line in lines if line.get("trace_id") == trace_id], service
    worker = stack.inside("trainer", "sh", "-c", f"cat /data/work/jobs/{job_id}/attempt-*/worker.log").stdout
    assert trace_id in worker


def logged(stack: Stack, service: str) -> list[dict[str, Any]]:
    """What a service wrote to stdout and stderr, from the engine, since compose puts control codes between; a line that is not JSON fails."""
    done = subprocess.run(
        ["docker", "logs", stack.container(service, "{{.Id}}")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stopped_trainer_saves_and_goes_on_where_it_was(stack: Stack, demo: Path) -> None:
    dataset = listed(stack, "dataset")[0]
    spec = tuning_spec(
        "sft", dataset_name=dataset["name"], dataset_version=dataset["version"], adapter_name="stopped",
        max_steps=400, batch_size=2, evaluation_interval_steps=200,
    )  # fmt: skip
    with stack.trainer() as client:
        job_id = client.create_job(spec).job_id
        until(lambda: client.get_job(job_id).progress.step >= 3, 240, "three steps")
        started = time.monotonic()
        stack.compose("stop", "trainer")
        assert time.monotonic() - started < 75, "killed, not stopped"
        assert stack.container("trainer", "{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"
    stack.compose("up", "--wait", "--no-build", "trainer")
    with stack.trainer() as client:
        steps = [checkpoint.step for checkpoint in client.list_checkpoints(job_id)]
        assert steps
        assert max(steps) >= 3
        until(lambda: client.get_job(job_id).progress.step > max(steps), 240, "steps beyond the checkpoint")
        told = [event.metrics.step for event in client.events(job_id) if event.WhichOneof("event") == "metrics"]
        assert sorted(set(told)) == list(range(min(told), max(told) + 1)), "a step is missing"
        client.cancel_job(job_id)
        client.wait(job_id, 60)


def test_down_keeps_the_data_and_the_backup_of_the_documents_brings_it_back(stack: Stack, demo: Path) -> None:
    """The commands of docs/operations.md, without inference, whose volume is not in a backup. Databases are migrated at each start."""
    text = (REPO / "docs/operations.md").read_text()
    saving, restoring = (
        re.search(rf"^for s in .*-C /data {mode} - .*$", text, re.MULTILINE) for mode in ("-cf", "-xf")
    )
    assert saving
    assert restoring
    before = {noun: listed(stack, noun) for noun in ("runs", "dataset", "jobs")}
    (stack.folder / "backup").mkdir()
    stack.compose("stop")
    shell(stack, saving[0])
    stack.compose("down")
    stack.compose("up", "--wait", "--no-build", "curator", "trainer")
    assert {noun: listed(stack, noun) for noun in before} == before
    stack.compose("down")
    for service in BACKED_UP:
        subprocess.run(["docker", "volume", "rm", stack.volume(service)], capture_output=True, timeout=60, check=True)
    shell(stack, restoring[0])
    stack.compose("up", "--wait", "--no-build", "curator", "trainer")
    assert {noun: listed(stack, noun) for noun in before} == before


def shell(stack: Stack, line: str) -> None:
    """A line of the documents as it stands there, where `docker compose` means this stack."""
    ours = shlex.join(stack.engine.compose_command_property)
    script = line.replace("docker compose", f"{ours} --project-directory {REPO}").replace(
        "backup/", f"{stack.folder}/backup/"
    )
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=REPO, check=True, timeout=300)


def test_the_demo_says_when_no_stack_answers(tmp_path: Path) -> None:
    """Needs no engine: without an .env, and with one whose services do not answer."""
    words = [str(BURNISH), "demo", "--target", "compose", "--small"]
    without = subprocess.run(
        words, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert without.returncode == 1
    assert "BURNISH_TOKEN" in without.stderr
    assert "make secrets" in without.stderr
    (tmp_path / ".env").write_text(f"BURNISH_TOKEN={WRONG}\nBURNISH_CURATOR_PORT=1\n")
    shut = subprocess.run(
        words, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert shut.returncode == 1
    assert "curator at http://127.0.0.1:1 cannot be reached" in " ".join(shut.stderr.split())
