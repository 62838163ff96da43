"""The lease of a device between serving and training, as the inference service answers and as the trainer and clients read it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from burnish.schemas.base import Frozen

Sharing = Literal["sleep", "share", "separate"]
MAX_TTL_SECONDS = 3600.0


class LeaseRequest(Frozen):
    """An ask for the devices, and each renewal of it. The holder asks again until it is granted, and then to keep it."""

    holder: str = Field(min_length=1, max_length=200, description="id of the job that needs the devices")
    devices: list[str] = Field(
        min_length=1, description="those it will use, by burnish.machine.devices: GPU-<uuid>, cpu:<boot id>"
    )
    size_bytes: int | None = Field(default=None, ge=0, description="memory that it needs of each; null if unknown")
    ttl_seconds: float = Field(gt=0, le=MAX_TTL_SECONDS, description="seconds after which it ends if it is not renewed")


class DeviceStatus(Frozen):
    """Who has the engine's devices. phase: what the engine does (serving, draining, asleep, …).

    holder: the job that has them or waits for them; is_granted: it may use them; held_seconds: for how long it could;
    expires_seconds: until the lease ends if it is not renewed; free_bytes: of the device with the least free; None if it
    cannot be read.
    """

    sharing: Sharing
    devices: list[str]
    phase: str
    holder: str | None = None
    is_granted: bool = False
    held_seconds: float | None = None
    expires_seconds: float | None = None
    free_bytes: int | None = None


class LeaseAnswer(Frozen):
    """needed: False if the asker may go ahead without a lease: it uses other devices, or fits beside the engine.

    granted: it holds the lease, and the engine has left the devices.
    """

    needed: bool
    granted: bool
    device: DeviceStatus

    @property
    def may_start(self) -> bool:
        return self.granted or not self.needed
