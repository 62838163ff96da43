"""stack.json: what runs, where, under which process, with which credentials. Mode 0600. Written by the supervisor, and by `burnish down` once that is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from burnish.errors import CorruptDataError
from burnish.schemas.base import Frozen
from burnish_client.config.endpoints import STATE_FILE

PartName = Literal["objectstore", "curator", "trainer", "inference"]
PartState = Literal["waiting", "starting", "healthy", "unready", "restarting", "failed", "ended"]
Phase = Literal["starting", "running", "failed", "stopping", "stopped"]
PART_NAMES: tuple[PartName, ...] = ("objectstore", "curator", "trainer", "inference")
SECRET_FIELDS = {"token", "s3_access_key", "s3_secret_key"}


class ProcessIdentity(Frozen):
    """A process that cannot be mistaken for a later one with its number: pid, start in clock ticks, and the boot."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """None where there is no such process, or only its zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat[stat.rindex(")") + 2 :].split()  # the command name before it may hold spaces and brackets
        if fields[0] in ("Z", "X"):
            return None
        return cls(pid=pid, start_ticks=int(fields[19]), boot_id=_boot_id())

    def is_alive(self) -> bool:
        return ProcessIdentity.of(self.pid) == self


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class PartStatus(Frozen):
    """One part as the supervisor sees it. since: Unix time of the last change of state."""

    name: PartName
    state: PartState
    address: str
    log: str
    process: ProcessIdentity | None = None
    since: float
    start_seconds: float | None = None
    restarts: int = 0
    reason: str | None = None


class StackState(Frozen):
    """The whole file. Addresses are None for parts that were left out."""

    schema_version: int = 1
    phase: Phase
    supervisor: ProcessIdentity
    base_model: str
    parts: list[PartStatus]
    ports: dict[str, int]
    curator_url: str | None
    trainer_address: str | None
    inference_url: str | None
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    token: str
    ca: str | None = None

    @property
    def is_up(self) -> bool:
        """True where its supervisor lives and means to go on."""
        return self.phase in ("starting", "running") and self.supervisor.is_alive()

    def part(self, name: PartName) -> PartStatus | None:
        return next((part for part in self.parts if part.name == name), None)

    def failed_part(self) -> PartStatus | None:
        return next((part for part in self.parts if part.state == "failed"), None)

    def public(self) -> dict[str, Any]:
        """The state without its secrets, JSON-ready."""
        return self.model_dump(mode="json", exclude=SECRET_FIELDS)


def read(home: Path) -> StackState | None:
    """None where there has been no stack in this home."""
    path = home / STATE_FILE
    try:
        return StackState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise CorruptDataError(
            f"{path} cannot be read ({field}: {first['msg']}): end what runs with its pid, remove the file and run `burnish up`"
        ) from error


def write(home: Path, state: StackState) -> None:
    """Replace the file whole, so that a reader sees the old or the new state."""
    path = home / STATE_FILE
    fresh = path.with_name(f"{STATE_FILE}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(state.model_dump_json(indent=2) + "\n")
    fresh.replace(path)
