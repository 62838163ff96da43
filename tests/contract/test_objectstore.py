"""Holds every object store to the text of burnish.ports.ObjectStore."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
import urllib3.response

from burnish.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptDataError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
    UnauthenticatedError,
    UnavailableError,
)
from burnish.objectstores.s3 import ATTEMPTS, S3ObjectStore
from burnish.objectstores.seaweedfs import HOST, Ports
from burnish.ports import ObjectStore
from burnish.testing import Seaweed

KEYS = ["a/b/c", "a/x", "a-b", "a.b/y", "ab", "b/é ü+%20?#&=.json", "ß/日本/😀.txt"]


@pytest.fixture(params=["memory_store", "s3_store"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(request.param)


def test_put_then_get_stat_and_overwrite(store: ObjectStore) -> None:
    first = store.put("folder/key.json", b"one")
    assert store.get("folder/key.json") == b"one"
    assert store.stat("folder/key.json") == first
    second = store.put("folder/key.json", b"three")
    assert (second.size_bytes, store.get("folder/key.json")) == (5, b"three")
    assert first.etag != second.etag
    assert '"' not in second.etag


def test_etag_is_equal_for_equal_content(store: ObjectStore) -> None:
    first = store.put("key", b"same")
    assert store.put("key", b"other").etag != first.etag
    assert store.put("key", b"same").etag == first.etag


@pytest.mark.parametrize("key", KEYS)
def test_unicode_and_punctuation_in_keys(store: ObjectStore, key: str) -> None:
    store.put(key, key.encode())
    assert store.get(key) == key.encode()
    assert [info.key for info in store.list("")] == [key]
    store.delete(key)
    assert list(store.list("")) == []


def test_empty_object(store: ObjectStore, tmp_path: Path) -> None:
    assert store.put("empty", b"").size_bytes == 0
    assert store.get("empty") == b""
    assert store.stat("empty").size_bytes == 0
    assert store.get_file("empty", tmp_path / "out").size_bytes == 0
    assert store.put_if_absent("empty-too", b"").size_bytes == 0
    (tmp_path / "empty").touch()
    store.put_file("empty-file", tmp_path / "empty")
    assert store.get("empty-file") == b""


def test_put_if_absent_refuses_a_second_write(store: ObjectStore) -> None:
    first = store.put_if_absent("datasets/a/manifest.json", b"first")
    with pytest.raises(AlreadyExistsError, match=r"datasets/a/manifest\.json"):
        store.put_if_absent("datasets/a/manifest.json", b"second")
    assert store.get("datasets/a/manifest.json") == b"first"
    assert store.stat("datasets/a/manifest.json") == first


def test_one_winner_of_sixteen_racers(store: ObjectStore) -> None:
    def race(number: int) -> bool:
        try:
            store.put_if_absent("race", f"racer {number}".encode())
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(race, range(16)))
    assert won.count(True) == 1
    assert store.get("race") == f"racer {won.index(True)}".encode()


def test_if_match_replaces_only_the_version_it_read(store: ObjectStore) -> None:
    first = store.put("aliases/fix.json", b"v1")
    second = store.put_if_match("aliases/fix.json", b"v2", first.etag)
    assert store.stat("aliases/fix.json") == second
    with pytest.raises(ConflictError, match=r"aliases/fix\.json"):
        store.put_if_match("aliases/fix.json", b"v3", first.etag)
    assert store.get("aliases/fix.json") == b"v2"


def test_if_match_on_a_missing_object_is_a_conflict(store: ObjectStore) -> None:
    etag = store.put("alias", b"v1").etag
    store.delete("alias")
    with pytest.raises(ConflictError):
        store.put_if_match("alias", b"v2", etag)
    with pytest.raises(NotFoundError):
        store.get("alias")


def test_one_winner_of_eight_if_match_racers(store: ObjectStore) -> None:
    etag = store.put("alias", b"start").etag

    def race(number: int) -> bool:
        try:
            store.put_if_match("alias", f"racer {number}".encode(), etag)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert won.count(True) == 1
    assert store.get("alias") == f"racer {won.index(True)}".encode()


def test_large_file_goes_up_and_comes_down_whole(store: ObjectStore, tmp_path: Path) -> None:
    source, copy = tmp_path / "source.bin", tmp_path / "deep" / "er" / "copy.bin"
    source.write_bytes(hashlib.shake_128(b"burnish").digest(20_000_003))
    info = store.put_file("adapters/a/adapter_model.safetensors", source)
    assert info.size_bytes == 20_000_003
    assert store.stat(info.key) == info
    assert store.get_file(info.key, copy) == info
    assert copy.read_bytes() == source.read_bytes()
    assert store.get(info.key) == source.read_bytes()


def test_get_file_of_a_missing_object_leaves_the_old_file(store: ObjectStore, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(NotFoundError, match="nothing/here"):
        store.get_file("nothing/here", target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert target.read_bytes() == b"old"


def test_missing_objects(store: ObjectStore) -> None:
    for read in (store.get, store.stat):
        with pytest.raises(NotFoundError, match="nothing/here"):
            read("nothing/here")
    store.delete("nothing/here")
    assert list(store.list("nothing/")) == []
    assert list(store.list_folders("nothing/")) == []


def test_list_is_in_key_order_and_by_prefix(store: ObjectStore) -> None:
    for key in reversed(KEYS):
        store.put(key, b"x")
    assert [info.key for info in store.list("")] == sorted(KEYS)
    assert [info.key for info in store.list("a")] == ["a-b", "a.b/y", "a/b/c", "a/x", "ab"]
    assert [info.key for info in store.list("a/")] == ["a/b/c", "a/x"]
    assert [info.key for info in store.list("a/b")] == ["a/b/c"]
    assert next(store.list("ab")) == store.stat("ab")


def test_list_sees_more_than_one_page(store: ObjectStore) -> None:
    keys = [f"many/{number:04d}/manifest.json" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), keys))
    assert [info.key for info in store.list("many/")] == keys
    assert list(store.list_folders("many/")) == [key.split("/")[1] for key in keys]


def test_folders(store: ObjectStore) -> None:
    for key in (
        "datasets/b/1/manifest.json",
        "datasets/a/2/train.jsonl",
        "datasets/a/1/manifest.json",
        "datasets/file",
    ):
        store.put(key, b"x")
    assert list(store.list_folders("")) == ["datasets"]
    assert list(store.list_folders("datasets/")) == ["a", "b"]
    assert list(store.list_folders("datasets/a/")) == ["1", "2"]
    with pytest.raises(InvalidInputError, match="end in '/'"):
        store.list_folders("datasets")


def test_a_folder_is_gone_with_its_last_object(store: ObjectStore) -> None:
    store.put("runlogs/one/part", b"x")
    store.delete("runlogs/one/part")
    assert list(store.list_folders("runlogs/")) == []
    assert list(store.list_folders("")) == []


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "a/../b", "./a", "a\nb", "\ud800", "x" * 1025])
def test_bad_keys_are_refused_by_every_method(store: ObjectStore, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    calls = [
        lambda: store.put(key, b"x"),
        lambda: store.put_if_absent(key, b"x"),
        lambda: store.put_if_match(key, b"x", "etag"),
        lambda: store.put_file(key, tmp_path / "file"),
        lambda: store.get(key),
        lambda: store.get_file(key, tmp_path / "out"),
        lambda: store.stat(key),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match=r"object key"):
            call()


@pytest.mark.parametrize("prefix", ["/", "..", "../", "a//", "./a"])
def test_bad_prefixes_are_refused(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(InvalidInputError, match="prefix"):
        store.list(prefix)


def test_threads_share_one_store(store: ObjectStore) -> None:
    def round_trip(number: int) -> bool:
        data = str(number).encode() * 1000
        store.put(f"shared/{number}", data)
        return store.get(f"shared/{number}") == data

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(round_trip, range(64)))


def test_wrong_credentials_are_named(s3_store: S3ObjectStore) -> None:
    stranger = S3ObjectStore(s3_store.endpoint, "stranger", "not-the-secret", s3_store.bucket)
    with pytest.raises(UnauthenticatedError, match="BURNISH_S3_ACCESS_KEY"):
        stranger.put("key", b"x")


def test_missing_bucket_is_named(seaweed: Seaweed) -> None:
    with pytest.raises(PreconditionError, match="no-such-bucket"):
        seaweed.store("no-such-bucket").put("key", b"x")


def test_silent_server_is_unavailable_within_bounds() -> None:
    store = S3ObjectStore(f"{HOST}:{Ports.pick().s3}", "key", "secret-key", "bucket")
    for call in (lambda: store.get("key"), lambda: store.put_if_absent("key", b"x")):
        with pytest.raises(UnavailableError, match="does not answer"):
            call()


def test_a_lost_reply_is_never_taken_for_a_lost_race() -> None:
    """A server that takes the request and hangs up: the write may have happened, so it is not sent again."""
    with socket.create_server((HOST, 0)) as server:
        requests: list[bytes] = []

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    requests.append(connection.recv(65536)[:3])

        thread = Thread(target=hang_up)
        thread.start()
        store = S3ObjectStore(f"{HOST}:{server.getsockname()[1]}", "key", "secret-key", "bucket")
        with pytest.raises(UnavailableError):
            store.put_if_absent("key", b"x")
        assert requests == [b"PUT"]
        with pytest.raises(UnavailableError):
            store.put("key", b"x")
        assert len(requests) == 1 + ATTEMPTS
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_ensure_bucket_is_idempotent_under_a_race(seaweed: Seaweed) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: seaweed.store("raced-bucket").ensure_bucket(), range(8)))
    seaweed.store("raced-bucket").put("key", b"x")


def test_core_stores_load_without_network_modules_of_the_services() -> None:
    code = "import sys, burnish.objectstores.s3; print([m for m in ('torch', 'grpc', 'fastapi') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_an_object_of_another_size_is_refused_before_it_is_downloaded(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("large", b"x" * 100_000)
    assert store.get("large", 100_000) == b"x" * 100_000
    assert store.get_file("large", tmp_path / "whole", 100_000).size_bytes == 100_000
    monkeypatch.setattr(urllib3.response.HTTPResponse, "stream", None)
    for read in (lambda: store.get("large", 7), lambda: store.get_file("large", tmp_path / "other", 7)):
        with pytest.raises(CorruptDataError, match="100000 bytes and not 7"):
            read()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["whole"]
