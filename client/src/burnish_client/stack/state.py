"""stack.json: what runs, at which addresses, in which process, with which credentials. Mode 0600.

Written by the supervisor, and by `burnish down` once the supervisor is gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from burnish.errors import CorruptDataError, validation_problems
from burnish.files import write_atomically
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
        """None if there is no such process, or only its zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat[stat.rindex(")") + 2 :].split()  # the command name before it may hold spaces and brackets
        if fields[0] in ("Z", "X"):
            return None
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(pid=pid, start_ticks=int(fields[19]), boot_id=boot_id)

    def is_alive(self) -> bool:
        return ProcessIdentity.of(self.pid) == self


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
    base_model_folder: str | None = None
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
        """True if its supervisor lives and is not ending the stack."""
        return self.phase in ("starting", "running") and self.supervisor.is_alive()

    def public(self) -> dict[str, Any]:
        """The state without its secrets, JSON-ready."""
        return self.model_dump(mode="json", exclude=SECRET_FIELDS)


def read(home: Path) -> StackState | None:
    """None if there has been no stack in this home."""
    path = home / STATE_FILE
    try:
        return StackState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = validation_problems(error, whole="the file", at_most=1)
        raise CorruptDataError(
            f"{path} cannot be read ({problem}): end what runs by its pid, remove the file and run `burnish up`"
        ) from error


def write(home: Path, state: StackState) -> None:
    """Replace the file as a whole, so that a reader sees the old or the new state."""
    content = state.model_dump_json(indent=2).encode() + b"\n"
    write_atomically(home / STATE_FILE, content, mode=0o600, survives_power_cut=False)
