"""A real SeaweedFS server for the length of a test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minio import Minio

from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore

STOP_SECONDS = 20
ACCESS_KEY, SECRET_KEY = "access-of-one-run", "secret-of-one-run-of-tests"  # such as services start on


@dataclass(frozen=True)
class Seaweed:
    """A running server, the key pair it accepts, and where it logs."""

    endpoint: str
    access_key: str
    secret_key: str
    log: Path
    process: subprocess.Popen[bytes]

    def store(self, bucket: str) -> S3ObjectStore:
        return S3ObjectStore(self.endpoint, self.access_key, self.secret_key, bucket)

    def remove_bucket(self, bucket: str) -> None:
        """With all that is in it. The server has room for about as many buckets as its disk has free gigabytes."""
        client = Minio(self.endpoint, access_key=self.access_key, secret_key=self.secret_key, secure=False)
        for key in [found.object_name for found in client.list_objects(bucket, recursive=True)]:
            client.remove_object(bucket, str(key))
        client.remove_bucket(bucket)


@contextmanager
def running_seaweed(folder: Path) -> Iterator[Seaweed]:
    """The server on free loopback ports, ready for writes; its data and log are under `folder` and stay there."""
    data_dir, log_path, ports = folder / "data", folder / "weed.log", seaweedfs.Ports.pick()
    data_dir.mkdir(parents=True, exist_ok=True)
    environment = seaweedfs.environment(ACCESS_KEY, SECRET_KEY)
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            seaweedfs.prepare(data_dir, ports), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    server = Seaweed(ports.endpoint, ACCESS_KEY, SECRET_KEY, log_path, process)
    try:
        seaweedfs.wait_ready(server.store("readiness"), has_exited=lambda: process.poll() is not None)
        yield server
    finally:
        _stop(process)
        seaweedfs.remove_sockets(ports.to_dict().values())


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
