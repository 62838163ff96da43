"""`burnish eval` and `burnish adapters` with a model that stays with its provider, before a gateway that lists it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hosted_fakes.server import FakeServer, Reply, Request, serving
from typer.testing import CliRunner

from burnish.errors import NotFoundError, PreconditionError
from burnish.schemas.training.hosted import RemoteModel, RemoteModelManifest
from burnish_client.cli.app import app
from burnish_client.cli.commands.evaluation.evaluate import EvalOptions, _compared
from burnish_client.config.endpoints import ClientSettings

REMOTE = RemoteModel(provider="openai", endpoint="http://127.0.0.1:9/v1", model="ft:nano:1", base_model="gpt-4.1-nano")
FOUND = RemoteModelManifest(name="fix", version=REMOTE.version, remote=REMOTE, job_id="job-1", method="sft", seed=7)


class Gateway:
    """Has one remote model, fix, and no adapter. expires_at: of the model."""

    expires_at: datetime | None = None

    token = "the-token"
    open_paths = ()

    def answer(self, request: Request) -> Reply:
        remote = REMOTE.model_copy(update={"expires_at": self.expires_at})
        manifest = FOUND.model_copy(update={"remote": remote}).model_dump(mode="json")
        if request.path == "/v1/models":
            return Reply(200, {"data": [{"id": "base", "root": "base", "parent": None}]})
        if request.path == "/v1/remote-models":
            return Reply(200, {"remote_models": [manifest] if request.query.get("name") in (None, "fix") else []})
        if request.path in ("/v1/remote-models/fix/latest", f"/v1/remote-models/fix/{FOUND.version}"):
            return Reply(200, manifest)
        if request.path == "/v1/adapters":
            return Reply(200, {"adapters": []})
        error = NotFoundError(f"there is no {request.path}")
        return Reply(404, {"error": error.to_dict()})


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with serving(Gateway()) as server:
        monkeypatch.setenv("BURNISH_INFERENCE_URL", server.url)
        monkeypatch.setenv("BURNISH_TOKEN", Gateway.token)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
        monkeypatch.setenv("OPENAI_BASE_URL", REMOTE.endpoint)
        yield server


def options(adapter: str) -> EvalOptions:
    """As the command line gives them."""
    unset: Any = dict.fromkeys(("base_model", "candidate_model", "base_url", "candidate_url", "without"))
    return EvalOptions(adapter=adapter, max_tokens_name="max_tokens", **unset)


@pytest.mark.parametrize("reference", ["fix", "fix@latest", f"fix@{FOUND.version}"])
def test_both_sides_are_asked_at_the_provider(gateway: FakeServer, reference: str) -> None:
    compared = _compared(options(reference), ClientSettings())
    assert (compared.base_model, compared.candidate_model) == ("gpt-4.1-nano", "ft:nano:1")
    assert (compared.endpoint.url, compared.endpoint.token) == (REMOTE.endpoint, "sk-mine")
    assert (compared.base_endpoint, compared.adapter, compared.remote) == (None, None, FOUND)


def test_a_key_that_belongs_elsewhere_stays_here(gateway: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(PreconditionError, match="the key is not sent elsewhere"):
        _compared(options("fix@latest"), ClientSettings())


def test_a_name_that_is_neither_is_told_as_before(gateway: FakeServer) -> None:
    with pytest.raises(NotFoundError):
        _compared(options("other@latest"), ClientSettings())


def test_lists_show_it_with_its_provider(gateway: FakeServer) -> None:
    shown = CliRunner().invoke(app, ["adapters", "ls"])
    assert shown.exit_code == 0, shown.output
    assert all(word in shown.stdout for word in ("fix", FOUND.version, "openai", "ft:nano:1"))
    (listed,) = json.loads(CliRunner().invoke(app, ["adapters", "ls", "fix", "--json"]).stdout)
    assert listed["remote"]["model"] == "ft:nano:1"
    one = CliRunner().invoke(app, ["adapters", "show", "fix@latest"])
    assert "gpt-4.1-nano, the provider's own" in one.stdout


@pytest.mark.parametrize(("days", "says"), [(30, "answers at openai until"), (-1, "ft:nano:1 has expired")])
def test_one_that_expires_says_so_wherever_it_is_used(
    gateway: FakeServer, days: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.answers.expires_at = datetime.now(UTC) + timedelta(days=days)  # type: ignore[attr-defined]
    _compared(options("fix@latest"), ClientSettings())
    assert says in " ".join(capsys.readouterr().err.split())
    assert says in " ".join(CliRunner().invoke(app, ["adapters", "ls", "fix"]).stderr.split())
    assert "expires" in CliRunner().invoke(app, ["adapters", "show", "fix@latest"]).stdout
