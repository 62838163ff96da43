"""The embedded stack with certificates, its secrets changed over kept data, and whose a folder's commands are once it has ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_making import Authority
from integration.client.homes import Home, until

from burnish.errors import UnauthenticatedError
from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.sdk.curator import CuratorClient

OLD_IS_REFUSED = pytest.raises(UnauthenticatedError)
LINE = {"question_id": "q1", "question": "?", "answer": "no", "grade": "incorrect", "retrieval_hit": True}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / ".burnish")
    yield made
    made.burnish("down")
    assert made.processes() == []


def test_the_stack_speaks_tls_and_its_secrets_change_over_kept_data(home: Home, authority: Authority) -> None:
    certificate, key = authority.issue("embedded")
    start = home.path.parent
    tls = {
        "BURNISH_TLS_CERTIFICATE": os.path.relpath(certificate, start),  # relative to where `up` is called
        "BURNISH_TLS_KEY": os.path.relpath(key, start),
        "BURNISH_CA": os.path.relpath(authority.ca, start),
    }
    up = home.burnish("up", "--without", "inference", **tls)
    assert up.returncode == 0, up.stderr
    state = home.state()
    assert state["curator_url"].startswith("https://127.0.0.1:")
    assert state["trainer_address"].startswith("grpcs://127.0.0.1:")
    log = start / "runs.jsonl"
    log.write_text(json.dumps(LINE) + "\n")
    assert home.burnish("runs", "import", str(log)).returncode == 0  # addresses, token and CA from stack.json
    assert home.burnish("jobs", "ls").returncode == 0
    refused = home.burnish("up", "--without", "inference", "--new-secrets", **tls)
    assert refused.returncode == 1
    assert "runs on its old secrets: `burnish down`, then `burnish up --new-secrets`" in refused.stderr

    assert home.burnish("down").returncode == 0
    again = home.burnish("up", "--without", "inference", "--new-secrets", **tls)
    assert again.returncode == 0, again.stderr
    fresh = home.state()
    for secret in ("token", "s3_access_key", "s3_secret_key"):
        assert fresh[secret] != state[secret]
    assert len(home.json("runs", "ls")) == 1, "the run log of before"
    with CuratorClient(fresh["curator_url"], state["token"], ca=authority.ca) as curator, OLD_IS_REFUSED:
        curator.run_logs()
    old = S3ObjectStore(fresh["s3_endpoint"], state["s3_access_key"], state["s3_secret_key"], "burnish")
    with OLD_IS_REFUSED:
        old.get("anything")


def test_up_refuses_a_weak_token_before_anything_starts(home: Home) -> None:
    done = home.burnish("up", BURNISH_TOKEN="changeme")
    assert done.returncode == 1
    assert "BURNISH_TOKEN is made of well-known words" in done.stderr
    assert not home.path.exists()


def test_a_crashed_stack_keeps_its_folder_until_down_gives_it_to_the_login(home: Home, tmp_path: Path) -> None:
    config = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    only_store = ("--without", "curator", "--without", "trainer", "--without", "inference")
    assert home.burnish("up", *only_store).returncode == 0
    login = ("login", "--curator", "http://127.0.0.1:9", "--no-check", "--token-file", "token")
    (tmp_path / "token").write_text("a-token-for-elsewhere")
    done = home.burnish(*login, **config)
    assert done.returncode == 0, done.stderr
    assert "in this folder the stack in" in done.stderr

    os.kill(home.state()["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: home.processes() == [])
    assert home.state()["phase"] == "running", "it could not write its end"
    assert "started without it: run `burnish up`" in home.burnish("runs", "ls", **config).stderr
    assert home.burnish("down", **config).returncode == 0
    assert home.state()["phase"] == "stopped"
    assert "curator at http://127.0.0.1:9 cannot be reached" in home.burnish("runs", "ls", **config).stderr
