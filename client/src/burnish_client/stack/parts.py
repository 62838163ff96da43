"""What each part of the stack is: command, environment, address, checks and time limits. Called by the supervisor."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.training.hosted import VARIABLES
from burnish_client.stack import gpus, health
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import PART_NAMES, PartName, StackState

HOST = "127.0.0.1"
BUCKET = "burnish"


@dataclass(frozen=True)
class Part:
    """One process to keep running.

    started: whether its start is done; after that, ready: whether it can work, and alive: whether it answers at all,
    which decides about restarts.
    """

    name: PartName
    argv: list[str]
    env: dict[str, str] = field(repr=False)
    address: str
    started: health.Check
    ready: health.Check
    alive: health.Check
    start_limit_seconds: float
    grace_seconds: float


@dataclass(frozen=True)
class Layout:
    """Ports and credentials of one home. They are kept over restarts, so that clients find the parts again."""

    home: Path
    ports: dict[str, int]
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    token: str = field(repr=False)
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    base_model: Path | None = None

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
        """As clients take it: an HTTP part's with its scheme, the trainer's with grpcs:// over TLS."""
        secure = self.certificate is not None
        if name == "trainer":
            return f"grpcs://{self.address(name)}" if secure else self.address(name)
        return f"{'https' if secure and name != 'objectstore' else 'http'}://{self.address(name)}"


def make_layout(
    settings: StackSettings, home: Path, earlier: StackState | None, *, new_secrets: bool = False
) -> Layout:
    """The earlier stack's ports if they are still free, else new ones; its credentials, or random ones."""
    kept = None if new_secrets else earlier
    wanted = [f"s3/{name}" for name in seaweedfs.Ports.__dataclass_fields__]
    wanted += [name for name in PART_NAMES if name != "objectstore"]
    token = kept.token if kept else secrets.token_urlsafe(32)
    # Relative to the folder where `burnish up` was called; the parts run elsewhere.
    files = (settings.tls_certificate, settings.tls_key, settings.ca)
    certificate, key, ca = (file.absolute() if file else None for file in files)
    return Layout(
        home=home,
        ports=pick_ports(wanted, earlier.ports if earlier else {}),
        s3_access_key=kept.s3_access_key if kept else secrets.token_hex(10),
        s3_secret_key=kept.s3_secret_key if kept else secrets.token_urlsafe(32),
        token=settings.token.get_secret_value() if settings.token else token,
        certificate=certificate,
        key=key,
        ca=ca,
        base_model=settings.base_model.absolute(),
    )


def pick_ports(names: Collection[str], preferred: Mapping[str, int]) -> dict[str, int]:
    """A free loopback port for each name, the preferred one if nobody has it. All are held while picking, so that they differ."""
    held: dict[str, socket.socket] = {}
    try:
        for name in (name for name in names if name in preferred):
            with suppress(OSError):
                held[name] = socket.create_server((HOST, preferred[name]))
        for name in names:
            if name not in held:
                held[name] = socket.create_server((HOST, 0))
        return {name: held[name].getsockname()[1] for name in names}
    finally:
        for server in held.values():
            server.close()


def make_parts(settings: StackSettings, layout: Layout, without: Collection[PartName]) -> list[Part]:
    """The parts in the order in which they start. Makes their data folders."""
    data, model = layout.home / "data", settings.base_model.resolve()
    curator, trainer = data / "curator", data / "trainer"
    shares_gpu = gpus.are_there(os.environ) and "inference" not in without
    lender = {"INFERENCE_URL": layout.url("inference"), "INFERENCE_CA": layout.ca or ""} if shares_gpu else {}
    sdks = settings.trainer_hosted_python.absolute()
    parts = [
        _objectstore(layout, data / "objectstore"),
        _service(
            "curator",
            layout,
            {"DATABASE_URL": f"sqlite:///{curator / 'curator.db'}", "CACHE_DIR": curator / "cache", "TOKENIZER": model},
            grace_seconds=10,
        ),
        _service(
            "trainer",
            layout,
            {
                "DATABASE_URL": f"sqlite:///{trainer / 'trainer.db'}",
                "WORK_DIR": trainer / "work",
                "BASE_MODEL": model,
                **({"HOSTED_PYTHON": sdks} if sdks.is_file() else {}),
                **lender,
            },
            grace_seconds=20,
        ),
        _service(
            "inference",
            layout,
            {"BASE_MODEL": model, "CACHE_DIR": data / "inference" / "cache"},
            python=str(settings.inference_python.absolute()),
            start_limit_seconds=900,
            grace_seconds=15,
        ),
    ]
    kept = [part for part in parts if part.name not in without]
    data.mkdir(exist_ok=True, mode=0o700)
    for part in kept:
        (data / part.name).mkdir(exist_ok=True)
    return kept


def _objectstore(layout: Layout, data: Path) -> Part:
    ports = layout.s3_ports
    store = S3ObjectStore(ports.endpoint, layout.s3_access_key, layout.s3_secret_key, BUCKET)
    check = health.http(f"http://{ports.endpoint}/healthz")
    return Part(
        name="objectstore",
        argv=seaweedfs.prepare(data, ports),
        env=seaweedfs.environment(layout.s3_access_key, layout.s3_secret_key),
        address=ports.endpoint,
        started=health.object_store(store),
        ready=check,
        alive=check,
        start_limit_seconds=60,
        grace_seconds=5,  # it sometimes never ends by itself; kill -9 harms no object
    )


def _service(
    name: PartName,
    layout: Layout,
    own: Mapping[str, object],
    *,
    python: str = sys.executable,
    start_limit_seconds: float = 90,
    grace_seconds: float,
) -> Part:
    """own: the service's own settings, without their prefix; they win over the caller's environment."""
    address = layout.url(name)
    if name == "trainer":
        ready = alive = health.grpc_health(layout.address(name), layout.certificate)
    else:
        ready = health.http(f"{address}/readyz", layout.certificate)
        alive = health.http(f"{address}/healthz", layout.certificate)
    settings = {"HOST": HOST, "PORT": layout.ports[name], **own}
    secret = frozenset[str]() if name == "trainer" else VARIABLES  # it alone speaks to the providers
    environment = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "HF_HUB_OFFLINE": "1",
        **{variable: value for variable, value in os.environ.items() if variable not in secret},
        **gpus.apart(name, os.environ),
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
        **{f"BURNISH_{name.upper()}_{setting}": str(value) for setting, value in settings.items()},
    }
    return Part(
        name=name,
        argv=[python, "-m", f"burnish_{name}.main"],
        env=environment,
        address=address,
        started=ready,
        ready=ready,
        alive=alive,
        start_limit_seconds=start_limit_seconds,
        grace_seconds=grace_seconds,
    )
