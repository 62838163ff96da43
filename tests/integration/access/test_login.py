"""`burnish login`, `logout` and `status` against the real services: what is kept, what is not, and what is said."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificate_making import Authority
from integration.access.services import TOKEN, Services

from burnish_client.cli import app as cli
from burnish_client.config import login_file
from burnish_client.config.endpoints import Service

SERVICES: tuple[Service, ...] = ("curator", "trainer", "inference")
VARIABLES = ("TOKEN", "CURATOR_URL", "TRAINER_ADDRESS", "INFERENCE_URL", "CA")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def burnish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in an empty folder of a user who has not logged in; typed: what stands on stdin."""
    for name in VARIABLES:
        monkeypatch.delenv(f"BURNISH_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BURNISH_HOME", str(tmp_path / ".burnish"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*words: str, typed: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = cli.run(list(words))
        return Done(code, *capsys.readouterr())

    return run


def options(services: Services, *chosen: Service) -> list[str]:
    return [word for service in chosen or SERVICES for word in (f"--{service}", services.address(service))]


def test_a_login_serves_every_command_until_the_logout(
    burnish: Command, over_tls: Services, authority: Authority
) -> None:
    done = burnish(
        "login", *options(over_tls), "--ca", os.path.relpath(authority.ca), "--token", "-", typed=f"{TOKEN}\n"
    )
    assert done.code == 0, done.err
    assert done.out.count("accepted") == 3
    assert TOKEN not in done.out + done.err
    kept = login_file.path()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert Path(json.loads(kept.read_text())["ca"]).samefile(authority.ca)

    for words in (("runs", "ls"), ("jobs", "ls"), ("adapters", "ls")):
        assert burnish(*words).code == 0, words
    status = burnish("status")
    assert status.code == 0, status.err
    assert f"from the login in {kept}" in status.out
    assert "base model tiny" in status.out
    told = burnish("status", "--json").json
    assert [one["base_model"] for one in told["services"]] == [None, None, "tiny"]
    assert {one["service"]: one["state"] for one in told["services"]} == dict.fromkeys(SERVICES, "accepted")
    assert (told["device"]["sharing"], told["device"]["holder"]) == ("separate", None)
    assert told["sources"] == dict.fromkeys(SERVICES, f"the login in {kept}")
    assert TOKEN not in str(told)

    assert burnish("logout", "--json").json == {"removed": True, "file": str(kept)}
    assert "nobody is logged in" in burnish("logout").out
    assert burnish("runs", "ls").code == 1


def test_a_wrong_token_keeps_nothing_and_says_which_service_refused_it(burnish: Command, in_plain: Services) -> None:
    done = burnish("login", *options(in_plain), "--token", "-", typed="not-the-token-of-these")
    assert done.code == 1
    assert done.out.count("refused the token") == 3
    assert "not logged in: nothing was kept" in done.err
    assert login_file.read() is None


def test_one_service_that_does_not_answer_is_enough_to_keep_nothing(burnish: Command, in_plain: Services) -> None:
    done = burnish(
        "login",
        *options(in_plain, "curator"),
        "--inference",
        "http://127.0.0.1:9",
        "--token",
        "-",
        "--json",
        typed=TOKEN,
    )
    assert done.code == 1
    assert [one["state"] for one in done.json["services"]] == ["accepted", "unreachable"]
    assert done.json["kept"] is False
    assert login_file.read() is None


def test_unless_the_check_is_left_out(burnish: Command) -> None:
    done = burnish("login", "--trainer", "far.example:8702", "--no-check", "--token", "-", typed=TOKEN)
    assert done.code == 0
    assert "the token goes to far.example:8702 unencrypted" in done.err
    assert (login_file.read() or pytest.fail("nothing kept")).trainer_address == "far.example:8702"


def test_the_compose_stacks_env_file_logs_in_with_one_command(
    burnish: Command, over_tls: Services, authority: Authority, tmp_path: Path
) -> None:
    ports = "".join(f"BURNISH_{service.upper()}_PORT={over_tls.ports[service]}\n" for service in SERVICES)
    text = f"BURNISH_TOKEN={TOKEN}\nBURNISH_BIND=0.0.0.0\nBURNISH_TLS_CERTIFICATE=/tls/server.pem\n{ports}"
    (tmp_path / ".env").write_text(f"{text}BURNISH_CA={os.path.relpath(authority.ca, tmp_path)}\n")
    done = burnish("login", "--env-file", ".env")
    assert done.code == 0, done.err
    assert burnish("jobs", "ls").code == 0


def test_a_token_file_serves_too_and_a_token_among_the_arguments_does_not(
    burnish: Command, in_plain: Services, tmp_path: Path
) -> None:
    refused = burnish("login", *options(in_plain), "--token", TOKEN)
    assert refused.code == 2
    assert "stays in the shell's history" in refused.err
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert burnish("login", *options(in_plain), "--token-file", "token").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--token", "-"), "give --curator, --trainer and --inference"),
        (("--curator", "gpu.example:8701", "--token", "-"), "is no http(s)://host:port"),
        (("--trainer", "https://gpu.example:8702", "--token", "-"), "grpcs://host:port for TLS"),
        (("--curator", "http://127.0.0.1:9"), "stdin is no terminal to ask on"),
        (("--env-file", "missing.env"), "`make secrets`"),
    ],
)
def test_what_cannot_be_a_login_is_bad_input(burnish: Command, words: tuple[str, ...], said: str) -> None:
    done = burnish("login", *words, typed=TOKEN)
    assert done.code == 2
    assert said in done.err
    assert login_file.read() is None


def test_variables_win_over_the_login_and_status_says_so(
    burnish: Command, in_plain: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURNISH_CURATOR_URL", in_plain.address("curator"))
    done = burnish("login", *options(in_plain), "--token", "-", typed=TOKEN)
    assert "BURNISH_CURATOR_URL is set and wins over the login" in done.err
    monkeypatch.setenv("BURNISH_TOKEN", TOKEN)
    status = burnish("status")
    assert status.code == 0, status.err
    assert "curator: from BURNISH_CURATOR_URL" in status.out
    assert f"trainer, inference: from the login in {login_file.path()}" in status.out
