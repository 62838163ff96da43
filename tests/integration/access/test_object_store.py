"""Services to a SeaweedFS that speaks TLS: trusted by BURNISH_S3_CA, refused without, and passed on to the trainer's workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_making import Authority

from burnish.errors import PreconditionError
from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish.service.settings import S3Settings
from burnish.testing.seaweed import ACCESS_KEY, SECRET_KEY


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """A SeaweedFS whose S3 endpoint has a certificate."""
    folder, ports = tmp_path_factory.mktemp("seaweed-tls"), seaweedfs.Ports.pick()
    certificate, key = authority.issue("objectstore")
    argv = [*seaweedfs.prepare(folder, ports), f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
    with (folder / "weed.log").open("wb") as log:
        environment = seaweedfs.environment(ACCESS_KEY, SECRET_KEY)
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        store = S3ObjectStore(ports.endpoint, ACCESS_KEY, SECRET_KEY, "burnish", secure=True, ca=authority.ca)
        seaweedfs.wait_ready(store, has_exited=lambda: process.poll() is not None)
        yield ports.endpoint
    finally:
        process.kill()
        process.wait()


def test_objects_pass_over_tls(endpoint: str, authority: Authority) -> None:
    store = S3ObjectStore(endpoint, ACCESS_KEY, SECRET_KEY, "burnish", secure=True, ca=authority.ca)
    store.put_if_absent("a/b", b"over TLS")
    assert store.get("a/b") == b"over TLS"


def test_an_untrusted_store_is_refused_and_the_setting_named(endpoint: str, other_authority: Authority) -> None:
    for ca in (None, other_authority.ca):
        store = S3ObjectStore(endpoint, ACCESS_KEY, SECRET_KEY, "burnish", secure=True, ca=ca)
        with pytest.raises(PreconditionError, match=r"certificate is not trusted .*BURNISH_S3_CA names the authority"):
            store.get("a/b")
        with pytest.raises(PreconditionError, match="BURNISH_S3_CA"):
            store.put_if_absent("a/c", b"x")


def test_a_plain_store_asked_over_tls_is_told_apart(seaweed: object, authority: Authority) -> None:
    plain = seaweed.endpoint  # type: ignore[attr-defined]
    store = S3ObjectStore(plain, ACCESS_KEY, SECRET_KEY, "burnish", secure=True, ca=authority.ca)
    with pytest.raises(PreconditionError, match="BURNISH_S3_SECURE=false is for one that does not"):
        store.get("a/b")


def test_a_ca_without_tls_is_a_mistake(authority: Authority) -> None:
    with pytest.raises(PreconditionError, match="BURNISH_S3_CA is set but BURNISH_S3_SECURE is not true"):
        S3ObjectStore("127.0.0.1:9", ACCESS_KEY, SECRET_KEY, "burnish", ca=authority.ca)


WORKER = "from burnish.service.settings import S3Settings; print(S3Settings().open().get('a/d').decode())"


def test_a_workers_environment_opens_the_same_store(endpoint: str, authority: Authority, tmp_path: Path) -> None:
    """As worker.py does, in a process with another working folder; the CA's path was relative to the trainer's."""
    relative = Path(os.path.relpath(authority.ca))
    settings = S3Settings(endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=True, ca=relative)
    settings.open().put("a/d", b"from the trainer")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("BURNISH_")}
    read = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=bare | settings.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (read.stdout, read.returncode) == ("from the trainer\n", 0), read.stderr
