"""Asks each door whether it answers and takes the token. Used by `burnish login` before it keeps anything, and by `burnish status`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from burnish.errors import BurnishError, DeadlineError, UnauthenticatedError, UnavailableError
from burnish_client.config.endpoints import Door

LIMIT_SECONDS = 10.0
State = Literal["accepted", "refused", "unreachable", "failed"]


@dataclass(frozen=True)
class DoorAnswer:
    """refused: the token; unreachable: nothing answered; failed: anything else (TLS, another server). detail: None where accepted."""

    door: Door
    address: str
    state: State
    detail: str | None = None


class _Asked(Protocol):
    def ask(self) -> None: ...


def ask_doors(addresses: Mapping[Door, str], token: str, ca: Path | None) -> list[DoorAnswer]:
    """One cheap read of each, in the order given; never raises for what a door says."""
    return [_ask(door, address, token, ca) for door, address in addresses.items()]


def _ask(door: Door, address: str, token: str, ca: Path | None) -> DoorAnswer:
    try:
        with _client(door)(address, token, ca=ca, timeout_seconds=LIMIT_SECONDS) as client:
            client.ask()
    except UnauthenticatedError as error:
        return DoorAnswer(door, address, "refused", error.message)
    except (UnavailableError, DeadlineError) as error:
        return DoorAnswer(door, address, "unreachable", error.message)
    except BurnishError as error:
        return DoorAnswer(door, address, "failed", error.message)
    return DoorAnswer(door, address, "accepted")


def _client(door: Door) -> Callable[..., AbstractContextManager[_Asked]]:
    """Imported where it is asked for, since gRPC is slow to load."""
    if door == "curator":
        from burnish_client.sdk.curator import CuratorClient

        return CuratorClient
    if door == "inference":
        from burnish_client.sdk.inference import InferenceClient

        return InferenceClient
    from burnish_client.sdk.trainer import TrainerClient

    return TrainerClient
