"""What each part of the stack is: its command, environment, address, checks and time limits. Called by the supervisor."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.stack import health
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import PART_NAMES, PartName, StackState

HOST = "127.0.0.1"
BUCKET = "burnish"


@dataclass(frozen=True)
class Part:
    """One process to keep. started ends the start; then ready shows whether it can work, and alive (does it answer at all?) decides restarts."""

    name: PartName
    argv: list[str]
    env: dict[str, str] = field(repr=False)
    address: str
    started: health.Check
    ready: health.Check
    alive: health.Check
    start_limit_seconds: float
    grace_seconds: float = 10.0


@dataclass(frozen=True)
class Layout:
    """Ports and credentials of one home; kept over restarts so that clients find the parts again."""

    home: Path
    ports: dict[str, int]
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    token: str = field(repr=False)
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    @property
    def s3_ports(self) -> seaweedfs.Ports:
        return seaweedfs.Ports(
            **{name.removeprefix("s3/"): port for name, port in self.ports.items() if name.startswith("s3/")}
        )

    def address(self, name: PartName) -> str:
        if name == "objectstore":
            return self.s3_ports.endpoint
        return f"{HOST}:{self.ports[name]}"

    def url(self, name: PartName) -> str:
        """As clients take it: of an HTTP part with its scheme, of the trainer with grpcs:// over TLS."""
        secure = self.certificate is not None
        if name == "trainer":
            return f"grpcs://{self.address(name)}" if secure else self.address(name)
        return f"{'https' if secure and name != 'objectstore' else 'http'}://{self.address(name)}"


def make_layout(
    settings: StackSettings, home: Path, earlier: StackState | None, *, new_secrets: bool = False
) -> Layout:
    """The earlier stack's ports where they are still free, fresh ones otherwise; its credentials, or random ones."""
    kept = None if new_secrets else earlier
    wanted = [f"s3/{name}" for name in seaweedfs.Ports.__dataclass_fields__] + [
        name for name in PART_NAMES if name != "objectstore"
    ]
    token = settings.token.get_secret_value() if settings.token else kept.token if kept else secrets.token_urlsafe(32)
    return Layout(
        home=home,
        ports=pick_ports(wanted, earlier.ports if earlier else {}),
        s3_access_key=kept.s3_access_key if kept else secrets.token_hex(10),
        s3_secret_key=kept.s3_secret_key if kept else secrets.token_urlsafe(32),
        token=token,
        certificate=_absolute(settings.tls_certificate),
        key=_absolute(settings.tls_key),
        ca=_absolute(settings.ca),
    )


def _absolute(path: Path | None) -> Path | None:
    """Of a path that is relative to where `burnish up` was called; the parts run elsewhere."""
    return None if path is None else path.absolute()


def pick_ports(names: Collection[str], preferred: Mapping[str, int]) -> dict[str, int]:
    """A free loopback port for each name: the preferred one where nobody holds it. All are held while picking, so that they differ."""
    held: dict[str, socket.socket] = {}
    try:
        for name in names:
            if name in preferred and (taken := _hold(preferred[name])):
                held[name] = taken
        for name in names:
            if name not in held:
                held[name] = socket.create_server((HOST, 0))
        return {name: held[name].getsockname()[1] for name in names}
    finally:
        for server in held.values():
            server.close()


def _hold(port: int) -> socket.socket | None:
    try:
        return socket.create_server((HOST, port))
    except OSError:
        return None


def make_parts(settings: StackSettings, layout: Layout, without: Collection[PartName]) -> list[Part]:
    """The parts in the order in which they start; data folders are made."""
    makers = {"objectstore": _objectstore, "curator": _curator, "trainer": _trainer, "inference": _inference}
    return [make(settings, layout) for name, make in makers.items() if name not in without]


def _objectstore(settings: StackSettings, layout: Layout) -> Part:
    data, ports = _folder(layout, "objectstore"), layout.s3_ports
    store = S3ObjectStore(ports.endpoint, layout.s3_access_key, layout.s3_secret_key, BUCKET)
    check = health.http(f"http://{ports.endpoint}/healthz")
    return Part(
        name="objectstore",
        argv=seaweedfs.command(data, ports),
        env={**os.environ, **seaweedfs.environment(layout.s3_access_key, layout.s3_secret_key)},
        address=ports.endpoint,
        started=health.object_store(store),
        ready=check,
        alive=check,
        start_limit_seconds=60,
        grace_seconds=5,  # at times it takes ever longer to end; kill -9 harms no object
    )


def _curator(settings: StackSettings, layout: Layout) -> Part:
    data, url = _folder(layout, "curator"), layout.url("curator")
    own = {
        "HOST": HOST,
        "PORT": layout.ports["curator"],
        "DATABASE_URL": f"sqlite:///{data / 'curator.db'}",
        "CACHE_DIR": data / "cache",
        "TOKENIZER": settings.base_model.resolve(),
    }
    ready = health.http(f"{url}/readyz", layout.certificate)
    return Part(
        name="curator",
        argv=[sys.executable, "-m", "burnish_curator.main"],
        env=_environment(layout, "CURATOR", own),
        address=url,
        started=ready,
        ready=ready,
        alive=health.http(f"{url}/healthz", layout.certificate),
        start_limit_seconds=90,
    )


def _trainer(settings: StackSettings, layout: Layout) -> Part:
    data = _folder(layout, "trainer")
    own = {
        "HOST": HOST,
        "PORT": layout.ports["trainer"],
        "DATABASE_URL": f"sqlite:///{data / 'trainer.db'}",
        "WORK_DIR": data / "work",
        "BASE_MODEL": settings.base_model.resolve(),
    }
    check = health.grpc_health(layout.address("trainer"), layout.certificate)
    return Part(
        name="trainer",
        argv=[sys.executable, "-m", "burnish_trainer.main"],
        env=_environment(layout, "TRAINER", own),
        address=layout.url("trainer"),
        started=check,
        ready=check,
        alive=check,
        start_limit_seconds=90,
        grace_seconds=20,
    )


def _inference(settings: StackSettings, layout: Layout) -> Part:
    data, url = _folder(layout, "inference"), layout.url("inference")
    own = {
        "HOST": HOST,
        "PORT": layout.ports["inference"],
        "BASE_MODEL": settings.base_model.resolve(),
        "CACHE_DIR": data / "cache",
    }
    ready = health.http(f"{url}/readyz", layout.certificate)
    return Part(
        name="inference",
        argv=[str(settings.inference_python.absolute()), "-m", "burnish_inference.main"],
        env=_environment(layout, "INFERENCE", own),
        address=url,
        started=ready,
        ready=ready,
        alive=health.http(f"{url}/healthz", layout.certificate),
        start_limit_seconds=900,
        grace_seconds=15,
    )


def _folder(layout: Layout, name: PartName) -> Path:
    data = layout.home / "data"
    data.mkdir(exist_ok=True, mode=0o700)
    folder = data / name
    folder.mkdir(exist_ok=True)
    return folder


def _environment(layout: Layout, prefix: str, own: Mapping[str, object]) -> dict[str, str]:
    """The caller's environment, what every service needs, and the part's own settings, which win."""
    return {
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "BURNISH_S3_ENDPOINT": layout.s3_ports.endpoint,
        "BURNISH_S3_ACCESS_KEY": layout.s3_access_key,
        "BURNISH_S3_SECRET_KEY": layout.s3_secret_key,
        "BURNISH_S3_BUCKET": BUCKET,
        "BURNISH_S3_SECURE": "false",
        "BURNISH_S3_CA": "",
        "BURNISH_TLS_CERTIFICATE": str(layout.certificate or ""),
        "BURNISH_TLS_KEY": str(layout.key or ""),
        "BURNISH_TOKEN": layout.token,
        **{f"BURNISH_{prefix}_{name}": str(value) for name, value in own.items()},
    }
