"""`burnish adapters` against a real gateway: what it prints, refuses and removes. The trainer is a stand-in on a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest
from integration.inference_api.test_aliases import answers_with, published, put_eval

from burnish import layout
from burnish_client.cli import app as cli
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_protos.trainer.v1.trainer_pb2_grpc import TrainerServicer, add_TrainerServicer_to_server


@dataclass
class Trainer(TrainerServicer):
    """Lists the jobs that a test gives it."""

    jobs: list[pb.TuningJob] = field(default_factory=list)
    address: str = ""

    def ListTuningJobs(self, request: pb.ListTuningJobsRequest, context: grpc.ServicerContext):
        assert pb.TuningJob.STATE_SUCCEEDED not in request.states
        return pb.ListTuningJobsResponse(jobs=self.jobs)

    def goes_on_from(self, manifest) -> None:
        initial = pb.AdapterRef(name=manifest.name, version=manifest.version)
        spec = pb.TuningSpec(dpo=pb.DpoParams(initial_adapter=initial))
        self.jobs.append(pb.TuningJob(job_id="job-7", state=pb.TuningJob.STATE_PENDING, spec=spec))


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    server, trainer = grpc.server(ThreadPoolExecutor(2)), Trainer()
    add_TrainerServicer_to_server(trainer, server)
    trainer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield trainer
    server.stop(None).wait()


@pytest.fixture
def burnish(stand, server_socket, trainer, monkeypatch, capsys, tmp_path):
    """await burnish("adapters", …): (exit code, stdout, stderr), at 80 columns."""
    variables = {"HOME": str(tmp_path / "home"), "INFERENCE_URL": server_socket.url, "TOKEN": "unit-test-token"}
    for name, value in (variables | {"TRAINER_ADDRESS": trainer.address}).items():
        monkeypatch.setenv(f"BURNISH_{name}", value)
    monkeypatch.setenv("COLUMNS", "80")

    async def run(*words):
        code = await asyncio.to_thread(cli.run, ["adapters", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


async def test_promote_rollback_and_their_history(stand, burnish):
    first, second = published(stand, rank=2), published(stand, rank=4)
    evidence = put_eval(stand, first)
    code, out, _ = await burnish("promote", f"fix@{first.version}")
    assert code == 0
    assert f"fix → {first.version}  eval {evidence.id} says ship" in out
    code, _, err = await burnish("promote", f"fix@{second.version}")
    assert (code, "no stored evaluation" in err, "--override REASON" in err) == (1, True, True)
    assert await answers_with(stand, first)
    code, out, _ = await burnish("promote", f"fix@{second.version}", "--override", "a [customer] waits")
    assert (code, "override: a [customer] waits" in out) == (0, True)
    assert await answers_with(stand, second)
    code, out, _ = await burnish("alias", "ls")
    assert f"fix → {second.version}  override: a [customer] waits" in out
    code, out, _ = await burnish("rollback", "fix", "--reason", "it swears")
    assert (code, f"fix → {first.version}  eval {evidence.id} says ship" in out) == (0, True)
    code, out, _ = await burnish("alias", "history", "fix")
    assert [line.split("  ")[2] for line in out.splitlines()] == ["rolled back", "promoted", "promoted"]
    assert "reason: it swears" in out
    assert f"no version → {first.version}" in out.splitlines()[-1]
    _, out, _ = await burnish("alias", "history", "fix", "--json")
    assert [change["number"] for change in json.loads(out)] == [3, 2, 1]


async def test_another_alias(stand, burnish):
    manifest = published(stand)
    assert (await burnish("promote", "fix@latest", "--alias", "staging", "--override", "try it"))[0] == 0
    assert await answers_with(stand, manifest, "fix@staging")
    assert f"fix@staging → {manifest.version}" in (await burnish("alias", "ls", "fix"))[1]
    code, out, _ = await burnish("alias", "rm", "fix", "--alias", "staging")
    assert (code, "no version: requests for this name are refused" in out) == (0, True)
    assert (await burnish("alias", "ls", "other"))[2].startswith("no aliases yet")


async def test_a_bare_name_is_refused_by_what_changes_or_shows_one(stand, burnish):
    published(stand)
    for words in (("promote", "fix"), ("rm", "fix")):
        code, _, err = await burnish(*words)
        assert (code, "give NAME@VERSION" in err) == (2, True)
    code, _, err = await burnish("show", "fix")
    assert (code, "burnish adapters promote fix@" in err) == (1, True)
    assert (await burnish("show", "fix@latest"))[0] == 0


async def test_rm_names_what_holds_a_version(stand, burnish, trainer):
    shipped, free, used = published(stand, rank=2), published(stand, rank=4), published(stand, rank=8)
    await burnish("promote", f"fix@{shipped.version}", "--override", "test")
    trainer.goes_on_from(used)
    code, _, err = await burnish("rm", f"fix@{shipped.version}")
    assert (code, "alias production of fix answers with it" in err) == (1, True)
    code, _, err = await burnish("rm", f"fix@{used.version}")
    assert (code, "job-7 needs it" in err) == (1, True)
    assert (await burnish("rm", f"fix@{free.version}"))[:2] == (0, f"removed fix@{free.version}\n")
    assert (await burnish("rm", f"fix@{free.version}"))[0] == 1
    left = {adapter["version"] for adapter in (await stand.http.get("/v1/adapters/fix")).json()["adapters"]}
    assert left == {shipped.version, used.version}


async def test_prune_lists_first_and_removes_what_nothing_holds_with_yes(stand, burnish, trainer):
    oldest, shipped, used, evaluated, newest = (
        published(stand, rank=rank, created_at=f"2026-0{number}-01T00:00:00Z")
        for number, rank in enumerate((1, 2, 3, 4, 5), 1)
    )
    await burnish("promote", f"fix@{shipped.version}", "--override", "test")
    put_eval(stand, evaluated, "stop")
    trainer.goes_on_from(used)
    code, out, _ = await burnish("prune")
    assert (code, "1 of 5 versions can be removed" in out, "--yes removes them" in out) == (0, True, True)
    kept = {line.split()[1]: line for line in out.splitlines() if line.startswith("kept")}
    assert "alias production of fix answers with it" in kept[f"fix@{shipped.version}"]
    assert "job-7 goes on from it" in kept[f"fix@{used.version}"]
    assert f"eval eval-{evaluated.version} rests on it" in kept[f"fix@{evaluated.version}"]
    assert "it is the newest" in kept[f"fix@{newest.version}"]
    assert len((await stand.http.get("/v1/adapters")).json()["adapters"]) == 5
    code, out, _ = await burnish("prune", "fix", "--yes")
    assert (code, f"removed  fix@{oldest.version}" in out, "1 of 5 versions removed" in out) == (0, True, True)
    _, out, _ = await burnish("prune", "--keep", "0", "--json")
    plan = {item["version"]: item for item in json.loads(out)}
    assert [item["kept_because"] for version, item in plan.items() if version == newest.version] == [[]]
    assert not any(item["removed"] for item in plan.values())


async def test_broken_objects_are_named_and_the_rest_is_listed(stand, burnish, caplog):
    made = published(stand)
    put_eval(stand, made)
    broken = layout.adapter("fix", "b" * 16)
    stand.store.put(broken, json.dumps(made.model_dump(mode="json") | {"created_at": "2026-01-01T00:00:00"}).encode())
    stand.store.put(layout.alias("fix", "torn"), b"{")
    for words in (["ls"], ["ls", "--json"], ["prune"]):
        code, out, err = await burnish(*words)
        assert (code, made.version in out) == (0, True)
        assert f"broken: {broken} cannot be read: created_at" in err
    code, out, err = await burnish("alias", "ls")
    assert code == 0
    assert "broken: aliases/fix@torn.json cannot be read" in err
    for _ in range(2):
        cards = (await stand.http.get("/v1/models")).json()["data"]
        assert [card["id"] for card in cards if card["parent"]] == [f"fix@{made.version}"]
    assert caplog.text.count(broken) == 1
