"""The SeaweedFS server as Burnish starts it: closed to strangers, durable, and honest about not starting."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from burnish.errors import DeadlineError, UnavailableError
from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish.testing import Seaweed, running_seaweed


def test_what_was_written_survives_kill_9_and_other_ports(tmp_path: Path) -> None:
    with running_seaweed(tmp_path) as server:
        store = server.store("burnish")
        store.ensure_bucket()
        store.put_if_absent("datasets/a/1/manifest.json", b"{}")
        server.process.kill()
        server.process.wait()
    with running_seaweed(tmp_path) as server:
        store = server.store("burnish")
        assert store.get("datasets/a/1/manifest.json") == b"{}"
        store.put("after", b"x")
        assert [info.key for info in store.list("")] == ["after", "datasets/a/1/manifest.json"]


@contextmanager
def dying_after(sent_bytes: int, endpoint: str) -> Iterator[str]:
    """An endpoint behind which each request reaches the server with its headers and so much of its body, as of a writer that was killed then."""
    host, port = endpoint.split(":")
    with socket.create_server((seaweedfs.HOST, 0)) as relay:

        def cut() -> None:
            while True:
                try:
                    writer, _ = relay.accept()
                except OSError:
                    return
                with writer, socket.create_connection((host, int(port))) as server:
                    request = b""
                    while b"\r\n\r\n" not in request and (chunk := writer.recv(65536)):
                        request += chunk
                    head, _, _ = request.partition(b"\r\n\r\n")
                    body = b"x" * sent_bytes
                    server.sendall(head + b"\r\n\r\n" + body)
                    server.shutdown(socket.SHUT_WR)
                    while server.recv(65536):
                        pass  # until the server has decided

        thread = threading.Thread(target=cut)
        thread.start()
        yield f"{seaweedfs.HOST}:{relay.getsockname()[1]}"
        relay.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("sent_bytes", [0, 1])
def test_a_writer_that_dies_writes_nothing(s3_store: S3ObjectStore, seaweed: Seaweed, sent_bytes: int) -> None:
    s3_store.put("alias", b"old")
    etag = s3_store.stat("alias").etag
    with dying_after(sent_bytes, seaweed.endpoint) as endpoint:
        dying = S3ObjectStore(endpoint, seaweed.access_key, seaweed.secret_key, s3_store.bucket)
        for write in (
            lambda: dying.put_if_absent("manifest", b"xxxx"),
            lambda: dying.put_if_match("alias", b"xxxx", etag),
            lambda: dying.put("alias", b"xxxx"),
        ):
            with pytest.raises(UnavailableError):
                write()
    assert [info.key for info in s3_store.list("")] == ["alias"]
    assert s3_store.get("alias") == b"old"


def test_every_door_is_on_loopback_and_on_a_picked_port(seaweed: Seaweed) -> None:
    listening = [c.laddr for c in psutil.Process(seaweed.process.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert {address.ip for address in listening} == {seaweedfs.HOST}
    given = {int(word.rsplit("=")[1]) for word in seaweed.process.args if ".port" in word}
    assert {address.port for address in listening} <= given


def test_strangers_read_nothing(seaweed: Seaweed) -> None:
    store = seaweed.store("closed")
    store.ensure_bucket()
    store.put("secret", b"x")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"http://{seaweed.endpoint}/closed/secret")
    refusal.value.close()
    assert refusal.value.code == 403


def test_a_server_that_ended_is_reported_at_once() -> None:
    store = S3ObjectStore(seaweedfs.Ports.pick().endpoint, "key", "secret-key", "bucket")
    with pytest.raises(UnavailableError, match="ended while starting: read its log"):
        seaweedfs.wait_ready(store, has_exited=lambda: True)


def test_a_server_that_never_answers_runs_into_the_deadline() -> None:
    store = S3ObjectStore(seaweedfs.Ports.pick().endpoint, "key", "secret-key", "bucket")
    with pytest.raises(DeadlineError, match=r"not ready after 0\.2 s"):
        seaweedfs.wait_ready(store, timeout_seconds=0.2)


def test_a_missing_binary_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.executable = '/nowhere/python'; from burnish.objectstores import seaweedfs; seaweedfs.binary()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PATH": "/nowhere"}, capture_output=True, text=True
    )
    assert "neither at /nowhere/weed nor on PATH: run `make setup`" in result.stderr


def test_ports_differ_and_are_free() -> None:
    ports = seaweedfs.Ports.pick().to_dict()
    assert len(set(ports.values())) == len(ports) == 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=60000000", "tmpfs", str(mounted)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a tmpfs: a full disk cannot be made here")
    yield mounted
    subprocess.run(["umount", "--lazy", str(mounted)], check=True)


def fill(store: S3ObjectStore) -> None:
    for number in range(20):
        store.put(f"filler-{number}", os.urandom(4_000_000))


def test_a_full_disk_is_told_and_what_is_stored_can_be_read(small_disk: Path) -> None:
    with running_seaweed(small_disk) as server:
        store = server.store("full-disk")
        store.ensure_bucket()
        store.put("first", b"x")
        with pytest.raises(UnavailableError, match="its disk is full: make room there"):
            fill(store)
        with pytest.raises(UnavailableError, match="its disk is full"):
            store.put_if_absent("manifest", b"x")
        assert store.get("first") == b"x"
        assert [info.key for info in store.list("manifest")] == []


def test_a_server_leaves_no_log_file_and_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with running_seaweed(tmp_path) as server:
        assert server.log.stat().st_size > 0
        assert list((tmp_path / "temporary").iterdir()) == []
        port = server.endpoint.rpartition(":")[2]
        assert (seaweedfs.SOCKETS / f"seaweedfs-s3-{port}.sock").is_socket()
        ports = [int(word.rsplit("=")[1]) for word in server.process.args if ".port" in word]
    assert [path for port in ports for path in seaweedfs.SOCKETS.glob(f"seaweedfs-*-{port}.sock")] == []
