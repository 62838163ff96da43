"""From a manifest in the store to an answer: resolving, fetching, loading once, and again after a restart."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
from adapter_making import CONFIG, WEIGHTS, adapter_files, make_base, make_manifest, publish
from full_disk import NoRoom

from burnish import layout
from burnish.digests import sha256_hex
from burnish.errors import UnavailableError
from burnish.objectstores.memory import MemoryObjectStore
from burnish_inference.adapters.aliases import AliasWatch
from burnish_inference.adapters.catalog import AdapterCatalog
from burnish_inference.adapters.folders import AdapterFolders
from burnish_inference.adapters.resolver import ModelResolver
from burnish_inference.metrics import InferenceMetrics


async def test_a_new_adapter_answers_at_once_under_its_resolved_name(stand):
    assert (await stand.chat("fix@latest")).status_code == 404
    manifest = stand.publish("fix")
    response = await stand.chat("fix@latest")
    assert response.status_code == 200
    assert response.json()["model"] == f"fix@{manifest.version}"
    assert response.headers["x-burnish-adapter-version"] == manifest.version
    folder = stand.cache_dir / "adapters" / f"fix@{manifest.version}"
    assert stand.upstream.loads == [{"lora_name": f"fix@{manifest.version}", "lora_path": str(folder)}]
    assert {path.name for path in folder.iterdir()} == {CONFIG, WEIGHTS}


async def test_fifty_first_uses_fetch_and_load_once(stand, eventually):
    manifest = stand.publish("fix")
    stand.store.open_gate.clear()
    stand.upstream.delay_seconds = 0.05
    names = ["fix@latest", f"fix@{manifest.version}"] * 25
    asking = [asyncio.create_task(stand.chat(name)) for name in names]
    await eventually(lambda: bool(stand.store.downloads))
    stand.store.open_gate.set()
    responses = await asyncio.gather(*asking)
    assert {response.status_code for response in responses} == {200}
    assert len(stand.upstream.loads) == 1
    assert sorted(stand.store.downloads) == sorted(
        layout.adapter("fix", manifest.version, path) for path in (CONFIG, WEIGHTS)
    )


async def test_base_requests_pass_while_an_adapter_loads(stand, eventually):
    stand.publish("fix")
    stand.store.open_gate.clear()
    loading = asyncio.create_task(stand.chat("fix@latest"))
    await eventually(lambda: bool(stand.store.downloads))
    assert (await stand.chat("tiny")).status_code == 200
    assert not loading.done()
    stand.store.open_gate.set()
    assert (await loading).status_code == 200


async def test_after_an_engine_restart_the_adapter_is_registered_again_and_not_fetched_again(stand):
    manifest = stand.publish("fix")
    await stand.chat("fix@latest")
    stand.store.delete(layout.adapter("fix", manifest.version, WEIGHTS))
    stand.engine.generation, stand.upstream.known = 2, {"tiny"}
    assert (await stand.chat("fix@latest")).status_code == 200
    assert len(stand.upstream.loads) == 2
    assert len(stand.upstream.requests) == 2  # registered before it was asked, not after a 404


async def test_an_adapter_that_the_engine_forgot_is_registered_again_within_the_request(stand):
    stand.publish("fix")
    await stand.chat("fix@latest")
    stand.upstream.known = {"tiny"}
    assert (await stand.chat("fix@latest")).status_code == 200
    assert len(stand.upstream.loads) == 2


async def test_already_loaded_counts_as_loaded(stand):
    manifest = stand.publish("fix")
    stand.upstream.known.add(f"fix@{manifest.version}")
    assert (await stand.chat("fix@latest")).status_code == 200
    assert stand.upstream.loads == []


async def refusal(stand, model="fix@latest"):
    response = await stand.chat(model)
    error = response.json()["error"]
    assert response.status_code == 400, response.text
    assert (error["type"], error["code"]) == ("invalid_request_error", "incompatible_adapter")
    assert stand.upstream.loads == []
    assert (await stand.chat("tiny")).status_code == 200
    return error["message"]


async def test_an_adapter_that_does_not_fit_is_400_with_the_reason_and_the_base_lives(stand):
    stand.publish("fix", rank=8, files=adapter_files(8, use_dora=True))
    assert "use_dora" in await refusal(stand)


async def test_weights_overwritten_together_with_their_manifest_are_refused(stand):
    manifest = stand.publish("fix")
    other = adapter_files(4, lora_alpha=8)
    for path, data in other.items():
        stand.store.put(layout.adapter("fix", manifest.version, path), data)
    entries = [
        entry.model_copy(update={"size_bytes": len(other[entry.path]), "sha256": sha256_hex(other[entry.path])})
        for entry in manifest.files
    ]
    overwritten = manifest.model_copy(update={"files": entries}).model_dump_json().encode()
    stand.store.put(layout.adapter("fix", manifest.version), overwritten)
    assert "the stored content is version" in await refusal(stand)


async def test_bytes_that_do_not_match_the_manifest_are_refused_and_leave_no_folder(stand):
    manifest = stand.publish("fix")
    weights = adapter_files()[WEIGHTS]
    for data in (weights[:-10], weights[:-4] + b"\0\0\0\1"):
        stand.store.put(layout.adapter("fix", manifest.version, WEIGHTS), data)
        assert "do not match the digest" in await refusal(stand)
        assert list((stand.cache_dir / "adapters").iterdir()) == []


async def test_a_file_missing_in_the_store_is_refused(stand):
    manifest = stand.publish("fix")
    stand.store.delete(layout.adapter("fix", manifest.version, CONFIG))
    assert "not in the store" in await refusal(stand)


async def test_a_manifest_of_another_version_is_refused(stand):
    manifest = stand.publish("fix")
    stand.store.put(layout.adapter("fix", "0" * 16), manifest.model_dump_json().encode())
    assert f"is the manifest of fix@{manifest.version}" in await refusal(stand, "fix@" + "0" * 16)


async def test_a_refused_adapter_that_is_mended_in_the_store_is_served(stand):
    manifest = stand.publish("fix")
    key, good = layout.adapter("fix", manifest.version, WEIGHTS), adapter_files()[WEIGHTS]
    stand.store.put(key, good[:-1])
    await refusal(stand)
    stand.store.put(key, good)
    assert (await stand.chat("fix@latest")).status_code == 200


async def test_a_refused_adapter_is_not_fetched_again_until_one_of_its_objects_changes(stand):
    manifest = stand.publish("fix")
    key, good = layout.adapter("fix", manifest.version, WEIGHTS), adapter_files()[WEIGHTS]
    stand.store.put(key, good[:-4] + b"\0\0\0\1")
    first = await refusal(stand)
    fetched = list(stand.store.downloads)
    assert [await refusal(stand) for _ in range(3)] == [first] * 3
    assert stand.store.downloads == fetched
    stand.store.put(key, good[:-4] + b"\0\0\0\2")
    await refusal(stand)
    assert len(stand.store.downloads) > len(fetched)


async def test_a_damaged_local_folder_is_fetched_again(stand):
    manifest = stand.publish("fix")
    folder = stand.cache_dir / "adapters" / f"fix@{manifest.version}"
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(b"half")
    assert (await stand.chat("fix@latest")).status_code == 200
    assert (folder / WEIGHTS).read_bytes() == adapter_files()[WEIGHTS]


async def test_a_store_that_is_down_is_503_for_new_names_and_nothing_for_what_is_loaded(stand):
    manifest = stand.publish("fix")
    await stand.chat("fix@latest")
    stand.store.is_down = True
    response = await stand.chat("other")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "unavailable"
    assert (await stand.chat(f"fix@{manifest.version}")).status_code == 200
    assert (await stand.chat("tiny")).status_code == 200


async def test_concurrent_lookups_of_a_name_ask_the_store_once(base):
    store = MemoryObjectStore()
    files = adapter_files()
    manifest = make_manifest("fix", files, base.record, 4)
    asked = []

    class Counting(AdapterCatalog):
        def latest(self, name):
            asked.append(name)
            time.sleep(0.05)
            return manifest

    catalog = Counting(store)
    resolver = ModelResolver("tiny", catalog, AliasWatch(store, catalog, loader=None))  # type: ignore[arg-type]  # no alias is asked for
    found = await asyncio.gather(*(resolver.resolve("fix@latest") for _ in range(50)))
    assert found == [manifest] * 50
    assert asked == ["fix"]
    assert await resolver.resolve("tiny") is None


async def test_every_adapter_is_asked_a_canary_prompt_once_it_is_loaded(stand):
    manifest = stand.publish("fix")
    await stand.chat("fix@latest")
    await stand.chat("fix@latest")
    assert stand.upstream.probed == [f"fix@{manifest.version}"]


async def test_an_adapter_that_answers_nonsense_is_unloaded_and_refused_without_loading_it_again(stand):
    manifest = stand.publish("fix")
    name = f"fix@{manifest.version}"
    stand.upstream.insane.add(name)
    for _ in range(3):
        response = await stand.chat("fix@latest")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "incompatible_adapter")
        assert "answers nonsense" in response.json()["error"]["message"]
    assert name not in stand.upstream.known
    assert len(stand.upstream.loads) == 1
    assert (await stand.chat("tiny")).status_code == 200


async def test_an_adapter_that_makes_the_base_answer_nonsense_is_503_until_the_engine_is_back(stand):
    stand.publish("fix")
    stand.upstream.insane.add("tiny")
    for model in ("fix@latest", "tiny"):
        assert (await stand.chat(model)).status_code == 503
    stand.engine.is_up, stand.upstream.insane = True, set()
    assert (await stand.chat("tiny")).status_code == 200


@pytest.mark.parametrize("status", [500, 404])
async def test_a_load_that_the_engine_fails_is_reported_and_tried_again(stand, status):
    stand.publish("fix")
    stand.upstream.load_status = status
    response = await stand.chat("fix@latest")
    assert response.status_code == (500 if status == 500 else 400)
    stand.upstream.load_status = 200
    assert (await stand.chat("fix@latest")).status_code == 200


async def test_folders_of_earlier_starts_make_room_and_opened_ones_stay(tmp_path):
    store, folders = MemoryObjectStore(), tmp_path / "adapters"
    for name in ("old", "older"):
        (folders / f"{name}@{'0' * 16}").mkdir(parents=True)
        (folders / f"{name}@{'0' * 16}" / WEIGHTS).write_bytes(b"x" * 1000)
        os.utime(folders / f"{name}@{'0' * 16}", (len(name), 10 - len(name)))
    (folders / ".fetch-killed").mkdir()
    first = AdapterFolders(store, tmp_path, InferenceMetrics(), cache_bytes=1500)
    assert [path.name for path in folders.iterdir()] == [f"old@{'0' * 16}"]
    files, base = adapter_files(), make_base(tmp_path / "base")
    for name in ("a", "b"):
        assert first.open(publish(store, make_manifest(name, files, base, 4), files)).is_dir()
    assert sorted(path.name.partition("@")[0] for path in folders.iterdir()) == ["a", "b"]


async def test_a_full_disk_is_told_and_the_adapter_answers_once_there_is_room(tmp_path):
    store, files = NoRoom(), adapter_files()
    manifest = publish(store, make_manifest("fix", files, make_base(tmp_path / "base"), 4), files)
    folders = AdapterFolders(store, tmp_path, InferenceMetrics())
    told = rf"no room to fetch adapter fix@{manifest.version} in {tmp_path}/adapters: about 1 MB are needed and .*CACHE_GIB"
    with pytest.raises(UnavailableError, match=told):
        folders.open(manifest)
    assert list((tmp_path / "adapters").iterdir()) == []
    store.has_room = True
    assert folders.open(manifest).is_dir()
