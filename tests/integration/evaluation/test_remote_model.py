"""A remote model against its provider's own base: both answer there, and verdict, report and manifest name the provider."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from integration.evaluation.chat_server import ChatServer
from integration.evaluation.test_comparison import make_dataset, says
from unit.evaluation.questions import make_questions

from burnish.errors import PreconditionError
from burnish.schemas.training.hosted import RemoteModel, RemoteModelManifest
from burnish_client.config.providers import key_for
from burnish_client.evaluation.comparison import evaluate
from burnish_client.evaluation.request import Endpoint, EvalInputs, EvalRequest

KEY = "sk-of-the-account"


async def test_the_provider_is_asked_for_both_and_named(server: ChatServer, tmp_path: Path) -> None:
    server.say, server.token = says, KEY
    remote = RemoteModel(provider="openai", endpoint=f"{server.url}/v1", model="candidate", base_model="base")
    found = RemoteModelManifest(name="fix", version=remote.version, remote=remote, job_id="job-1", method="sft", seed=7)
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{server.url}/v1"}
    label = f"fix@{found.version}"
    request = EvalRequest(
        benchmark="bench/v1",
        endpoint=Endpoint(remote.endpoint, key_for(remote, environment)),
        base_model=remote.base_model,
        candidate_model=remote.model,
        adapter=label,
        dataset="fix/0123456789abcdef",
        concurrency=8,
    )
    done = await evaluate(request, EvalInputs(make_questions(200), make_dataset(), remote=found), out=tmp_path)
    assert {model for model, _, _ in server.served} == {"base", "candidate"}
    assert (done.verdict.verdict, done.verdict.provider) == ("ship", f"openai ({server.url}/v1)")
    kinds = {(parent.kind, parent.name, parent.digest) for parent in done.manifest.parents}
    assert ("remote_model", "fix", found.version) in kinds
    assert ("base_model", "openai:base", "openai:base") in kinds
    for name in ("report.html", "postmortem.md"):
        text = (tmp_path / name).read_text()
        assert label in text
        assert f"{server.url}/v1" in text
    assert "the provider's own" in (tmp_path / "postmortem.md").read_text()
    assert f"--adapter {label}" in (tmp_path / "report.html").read_text()
    assert orjson.loads((tmp_path / "verdict.json").read_bytes())["provider"] == done.verdict.provider
    assert [file for file in tmp_path.iterdir() if KEY.encode() in file.read_bytes()] == []


def test_the_key_goes_where_this_machine_says_and_nowhere_else() -> None:
    remote = RemoteModel(provider="openai", endpoint="https://elsewhere/v1", model="ft:1", base_model="b")
    usual = remote.model_copy(update={"endpoint": "https://api.openai.com/v1"})
    assert key_for(usual, {"OPENAI_API_KEY": KEY}) == KEY
    assert key_for(remote, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://elsewhere/v1"}) == KEY
    with pytest.raises(PreconditionError, match="set OPENAI_API_KEY"):
        key_for(usual, {"OPENAI_API_KEY": ""})
    for environment in (
        {},
        {"OPENAI_BASE_URL": "https://api.openai.com/v1"},
        {"OPENAI_BASE_URL": "http://elsewhere/v1"},
    ):
        with pytest.raises(PreconditionError, match="the key is not sent elsewhere") as refused:
            key_for(remote, {"OPENAI_API_KEY": KEY, **environment})
        assert KEY not in refused.value.message


def test_a_key_that_is_a_file_is_sent_nowhere() -> None:
    remote = RemoteModel(provider="vertex", endpoint="https://here/v1", model="endpoints/1", base_model="gemini")
    with pytest.raises(PreconditionError, match="tokens that expire"):
        key_for(remote, {"GOOGLE_APPLICATION_CREDENTIALS": "/account.json", "GOOGLE_VERTEX_BASE_URL": "https://here"})
