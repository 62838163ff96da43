"""Aliases at the gateway: what a bare name answers with, how a change arrives, and what may be removed."""

from __future__ import annotations

import asyncio
import time

import orjson
import pytest
from adapter_making import adapter_files

from burnish import layout
from burnish.digests import sha256_hex
from burnish.registry.aliases import VERDICT_FILE
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.evaluation import EvalManifest

DATASET = Parent(kind="dataset", name="fix", digest="d" * 16)
BY = {"by": "ada@laptop"}
WITHIN_SECONDS = 1.0  # in which a change reaches every gateway
SLACK_SECONDS = 2.0  # for a busy machine


def published(stand, rank=4, **changes):
    parents = [DATASET, Parent(kind="base_model", name="tiny", digest=stand.base.digest)]
    return stand.publish("fix", rank=rank, **{"parents": parents} | changes)


def put_eval(stand, manifest, verdict="ship"):
    data = orjson.dumps({"verdict": verdict})
    entry = FileEntry(path=VERDICT_FILE, size_bytes=len(data), sha256=sha256_hex(data))
    parents = [
        DATASET,
        Parent(kind="adapter", name=manifest.name, digest=manifest.version),
        Parent(kind="base_model", name="tiny", digest=stand.base.digest),
    ]
    label = f"{manifest.name}@{manifest.version}"
    made = EvalManifest(
        id=f"eval-{manifest.version}", base_model="tiny", candidate_model=label, benchmark="all/1", verdict=verdict,
        parents=parents, files=[entry],
    )  # fmt: skip
    stand.store.put(layout.evaluation(made.id, VERDICT_FILE), data)
    stand.store.put(layout.evaluation(made.id), made.model_dump_json().encode())
    return made


async def change(stand, action, alias="production", **body):
    return await stand.http.post(f"/v1/aliases/fix/{alias}/{action}", json=BY | body)


async def promoted(stand, manifest, **body):
    response = await change(stand, "promote", version=manifest.version, override="test", **body)
    assert response.status_code == 200, response.text
    return response.json()


async def answers_with(stand, manifest, model="fix"):
    response = await stand.chat(model)
    return response.status_code == 200 and response.json()["model"] == f"fix@{manifest.version}"


def name_by_hand(stand, manifest):
    """As another gateway would, whose write this one sees in the bucket only."""
    data = {"name": manifest.name, "version": manifest.version}
    stand.store.put(layout.alias("fix"), orjson.dumps(data))


async def test_a_bare_name_without_a_production_version_is_404_with_the_commands_that_help(stand):
    manifest = published(stand)
    response = await stand.chat("fix")
    error = response.json()["error"]
    assert response.status_code == 404
    assert error["param"] == "model"
    assert f"burnish eval --benchmark NAME --adapter fix@{manifest.version}" in error["message"]
    assert f"burnish adapters promote fix@{manifest.version}`" in error["message"]
    assert "fix@latest" in error["message"]
    staging = (await stand.chat("fix@staging")).json()["error"]["message"]
    assert f"burnish adapters promote fix@{manifest.version} --alias staging`" in staging
    assert stand.upstream.loads == []


async def test_a_ship_verdict_promotes_and_the_bare_name_answers_at_once_with_the_warm_version(stand):
    manifest = published(stand)
    evidence = put_eval(stand, manifest)
    changed = (await change(stand, "promote", version="latest")).json()
    assert (changed["version"], changed["change"]["eval_id"]) == (manifest.version, evidence.id)
    assert [body["lora_name"] for body in stand.upstream.loads] == [f"fix@{manifest.version}"]
    (warming,) = stand.upstream.requests
    assert (warming["model"], warming["max_tokens"]) == (f"fix@{manifest.version}", 1)
    assert await answers_with(stand, manifest)
    assert len(stand.upstream.loads) == 1


@pytest.mark.parametrize("verdict", [None, "investigate"])
async def test_an_unproven_version_is_refused_and_an_override_is_kept_and_shown(stand, verdict):
    manifest = published(stand)
    if verdict:
        put_eval(stand, manifest, verdict)
    response = await change(stand, "promote", version=manifest.version)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unproven")
    assert stand.upstream.loads == []
    assert (await stand.http.get("/v1/aliases")).json() == {"aliases": [], "broken": []}
    await promoted(stand, manifest)
    (listed,) = (await stand.http.get("/v1/aliases")).json()["aliases"]
    assert (listed["change"]["override"], listed["change"]["by"]) == ("test", "ada@laptop")


async def test_a_version_that_does_not_fit_the_base_is_not_promoted(stand):
    manifest = published(stand, rank=8, files=adapter_files(8, use_dora=True))
    response = await change(stand, "promote", version=manifest.version, override="test")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "incompatible_adapter")
    assert (await stand.chat("fix")).status_code == 404


async def test_a_change_elsewhere_reaches_this_gateway_within_a_second(stand):
    older, newer = published(stand, rank=2), published(stand, rank=4)
    for manifest in (older, newer, older):
        name_by_hand(stand, manifest)
        changed = time.monotonic()
        while not await answers_with(stand, manifest):
            await asyncio.sleep(0.02)
            assert time.monotonic() - changed < WITHIN_SECONDS + SLACK_SECONDS
    await asyncio.sleep(0)


async def test_the_old_version_answers_until_the_new_one_is_loaded_and_no_request_fails(stand, eventually):
    older, newer = published(stand, rank=2), published(stand, rank=4)
    await promoted(stand, older)
    stand.store.open_gate.clear()  # the new version's download hangs
    name_by_hand(stand, newer)
    await eventually(lambda: any(newer.version in key for key in stand.store.downloads))
    for _ in range(5):
        assert await answers_with(stand, older)
    stand.store.open_gate.set()
    while not await answers_with(stand, newer):
        await asyncio.sleep(0.02)
    warming = [request for request in stand.upstream.requests if request["model"] == f"fix@{newer.version}"]
    assert warming[0]["max_tokens"] == 1  # it had made a token before it answered anybody


async def test_a_stream_in_flight_ends_with_the_version_that_it_began_with(stand):
    older, newer = published(stand, rank=2), published(stand, rank=4)
    await promoted(stand, older)
    stand.upstream.delay_seconds = 0.05
    async with stand.http.stream("POST", "/v1/completions", json={"model": "fix", "stream": True}) as response:
        assert response.headers["x-burnish-adapter-version"] == older.version
        await promoted(stand, newer)
        lines = [line async for line in response.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert await answers_with(stand, newer)


async def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one(stand, caplog):
    older, broken = published(stand, rank=2), published(stand, rank=8, files=adapter_files(8, use_dora=True))
    await promoted(stand, older)
    name_by_hand(stand, broken)
    async with asyncio.timeout(20):
        while "does not answer with" not in caplog.text:
            await asyncio.sleep(0.02)
    assert await answers_with(stand, older)


async def test_rollback_and_history(stand):
    first, second = published(stand, rank=2), published(stand, rank=4)
    await promoted(stand, first)
    await promoted(stand, second)
    stand.engine.is_up = False
    assert (await change(stand, "rollback", reason="it swears")).json()["version"] == first.version
    stand.engine.is_up = True
    assert await answers_with(stand, first)
    assert (await change(stand, "rollback")).json()["version"] is None
    assert (await stand.chat("fix")).status_code == 404
    refused = await change(stand, "rollback")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "precondition")
    changes = (await stand.http.get("/v1/aliases/fix/production")).json()["changes"]
    assert [(each["number"], each["action"], each["to_version"]) for each in changes] == [
        (4, "rollback", None),
        (3, "rollback", first.version),
        (2, "promote", second.version),
        (1, "promote", first.version),
    ]
    assert changes[1]["reason"] == "it swears"


async def test_models_lists_bare_names_first_then_the_base_other_aliases_and_versions(stand):
    older = published(stand, rank=2, created_at="2026-01-01T00:00:00Z")
    newer = published(stand, rank=4, created_at="2026-02-01T00:00:00Z")
    await promoted(stand, older)
    await promoted(stand, newer, alias="staging")
    cards = (await stand.http.get("/v1/models")).json()["data"]
    versions = [f"fix@{newer.version}", f"fix@{older.version}"]
    assert [card["id"] for card in cards] == ["fix", "tiny", "fix@staging", *versions]
    assert (cards[0]["version"], cards[0]["parent"], cards[2]["version"]) == (older.version, "tiny", newer.version)
    assert await answers_with(stand, newer, "fix@staging")
    assert await answers_with(stand, older, "fix@production")
    assert (await change(stand, "remove", alias="staging")).status_code == 200
    assert (await stand.chat("fix@staging")).status_code == 404
    assert await answers_with(stand, older)


async def test_after_an_engine_restart_the_production_version_is_loaded_before_it_is_asked_for(stand, eventually):
    await promoted(stand, published(stand))
    stand.engine.generation, stand.upstream.known = 2, {"tiny"}
    await eventually(lambda: len(stand.upstream.loads) == 2)


async def test_a_store_that_is_down_changes_no_alias(stand):
    manifest = published(stand)
    await promoted(stand, manifest)
    stand.store.is_down = True
    await asyncio.sleep(0.7)  # one look of the watch goes by
    assert await answers_with(stand, manifest)


async def test_an_alias_that_cannot_be_read_is_an_error_and_no_other_version(stand, eventually):
    published(stand)
    stand.store.put(layout.alias("fix"), b"{}")
    async with asyncio.timeout(20):
        while (response := await stand.chat("fix")).status_code == 404:
            await asyncio.sleep(0.05)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "corrupt_data")
    stand.store.delete(layout.alias("fix"))
    async with asyncio.timeout(20):
        while (await stand.chat("fix")).status_code != 404:
            await asyncio.sleep(0.05)


async def test_what_is_held_is_not_removed_and_the_rest_is(stand):
    shipped, free = published(stand, rank=2), published(stand, rank=4)
    put_eval(stand, shipped)
    await change(stand, "promote", version=shipped.version)
    uses = (await stand.http.get("/v1/adapter-uses", params={"name": "fix"})).json()["versions"]
    held = {use["adapter"]["version"]: [holder["what"] for holder in use["held_by"]] for use in uses}
    assert held == {free.version: [], shipped.version: [f"eval eval-{shipped.version}", "alias production of fix"]}
    refused = await stand.http.delete(f"/v1/adapters/fix/{shipped.version}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "held")
    assert "alias production of fix answers with it" in refused.json()["error"]["message"]
    assert (await stand.http.delete(f"/v1/adapters/fix/{free.version}")).status_code == 204
    assert (await stand.chat(f"fix@{free.version}")).status_code == 404
    assert (await stand.http.delete("/v1/adapters/fix/latest")).status_code == 404
    assert await answers_with(stand, shipped, "fix@latest")
