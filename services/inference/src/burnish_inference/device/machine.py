"""Who has the device, vLLM or a job, decided from data alone: no clock, no process, no file. keeper.py acts on it.

At any time one operation runs at most. An ask or a return changes only the lease, which is the wish; the end of an operation, or
a phase at rest, looks at it and chooses the next one. So no order of events loses a lease or grants it twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import TypeAlias


class Phase(StrEnum):
    """What vLLM does. Entering DRAINING, SLEEPING, STOPPING, WAKING or STARTING begins the operation of that name."""

    SERVING = "serving"
    DRAINING = "draining"  # requests under way end, new ones wait
    SLEEPING = "sleeping"  # it falls asleep
    ASLEEP = "asleep"
    STOPPING = "stopping"
    STOPPED = "stopped"
    WAKING = "waking"  # with the check that it answers as before
    STARTING = "starting"  # until it is healthy; the supervisor tries without end


@dataclass(frozen=True)
class Lease:
    """holder: a job's id. size_bytes: what it needs of each device; None if unknown. expires_at: on the clock of the events."""

    holder: str
    size_bytes: int | None
    expires_at: float


@dataclass(frozen=True)
class State:
    phase: Phase
    lease: Lease | None = None

    @property
    def is_granted(self) -> bool:
        """Whether the holder of the lease may use the device now."""
        return self.lease is not None and self.phase in AWAY


@dataclass(frozen=True)
class Ask:
    """The first ask and each renewal of a holder. Of another holder it changes nothing while a lease lasts."""

    lease: Lease


@dataclass(frozen=True)
class GiveBack:
    holder: str


@dataclass(frozen=True)
class Tick:
    now: float


class Report(Enum):
    """What became of an operation, or of vLLM by itself (UP, DIED)."""

    DRAINED = "drained"
    OVERDUE = "overdue"  # requests are still under way
    SLEPT = "slept"
    SLEEP_FAILED = "sleep failed"
    ENDED = "ended"
    WOKEN = "woken"
    WAKE_FAILED = "wake failed"
    UP = "up"
    DIED = "died"


Event: TypeAlias = Ask | GiveBack | Tick | Report

AWAY = frozenset({Phase.ASLEEP, Phase.STOPPED})

AFTER: dict[tuple[Phase, Report], Phase] = {
    (Phase.DRAINING, Report.DRAINED): Phase.SLEEPING,
    (Phase.DRAINING, Report.OVERDUE): Phase.STOPPING,
    (Phase.SLEEPING, Report.SLEPT): Phase.ASLEEP,
    (Phase.SLEEPING, Report.SLEEP_FAILED): Phase.STOPPING,
    (Phase.STOPPING, Report.ENDED): Phase.STOPPED,
    (Phase.WAKING, Report.WOKEN): Phase.SERVING,
    (Phase.WAKING, Report.WAKE_FAILED): Phase.STOPPING,
    (Phase.STARTING, Report.UP): Phase.SERVING,
    (Phase.SERVING, Report.DIED): Phase.STARTING,
    (Phase.DRAINING, Report.DIED): Phase.STOPPING,
    (Phase.SLEEPING, Report.DIED): Phase.STOPPING,
    (Phase.ASLEEP, Report.DIED): Phase.STOPPING,
    (Phase.WAKING, Report.DIED): Phase.STOPPING,
}
"""A report that is not here comes late and changes nothing."""

WISHED: dict[tuple[Phase, bool], Phase] = {
    (Phase.SERVING, True): Phase.DRAINING,
    (Phase.STARTING, True): Phase.STOPPING,
    (Phase.DRAINING, False): Phase.SERVING,
    (Phase.ASLEEP, False): Phase.WAKING,
    (Phase.STOPPED, False): Phase.STARTING,
}
"""(phase, is there a lease) -> what follows at once. Any other operation is let end first."""


def step(state: State, event: Event) -> State:
    """The state after an event. The caller begins the operation of the new phase if the phase has changed."""
    match event:
        case Ask(lease) if state.lease is None or state.lease.holder == lease.holder:
            state = replace(state, lease=lease)
        case GiveBack(holder) if state.lease is not None and state.lease.holder == holder:
            state = replace(state, lease=None)
        case Tick(now) if state.lease is not None and state.lease.expires_at <= now:
            state = replace(state, lease=None)
        case Report():
            state = replace(state, phase=AFTER.get((state.phase, event), state.phase))
    return replace(state, phase=WISHED.get((state.phase, state.lease is not None), state.phase))
