"""Whether each service answers and accepts the token. Used by `burnish login` before it keeps anything, and by `burnish status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from burnish.errors import BurnishError, DeadlineError, UnauthenticatedError, UnavailableError
from burnish_client.config.endpoints import Service
from burnish_client.sdk.transport.service_client import ServiceClient

LIMIT_SECONDS = 10.0
Access = Literal["accepted", "refused", "unreachable", "failed"]


@dataclass(frozen=True)
class ServiceAccess:
    """refused: the token; unreachable: nothing answered; failed: anything else (TLS, another server). detail: why not accepted.

    base_model: its name, of an inference service.
    """

    service: Service
    address: str
    state: Access
    detail: str | None = None
    base_model: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """As `--json` prints it, under the keys that scripts rely on."""
        return {
            "service": self.service,
            "address": self.address,
            "state": self.state,
            "detail": self.detail,
            "base_model": self.base_model,
        }


def check_services(addresses: Mapping[Service, str], token: str, ca: Path | None) -> list[ServiceAccess]:
    """One cheap read of each service, in the order given. Never raises for what a service answers."""
    return [_check(service, address, token, ca) for service, address in addresses.items()]


def _check(service: Service, address: str, token: str, ca: Path | None) -> ServiceAccess:
    room = import_module(f"burnish_client.sdk.{service}")
    client_class: type[ServiceClient] = getattr(room, f"{service.capitalize()}Client")
    try:
        with client_class(address, token, ca=ca, timeout_seconds=LIMIT_SECONDS) as client:
            base_model = client.check_access()
    except UnauthenticatedError as error:
        return ServiceAccess(service, address, "refused", error.message)
    except (UnavailableError, DeadlineError) as error:
        return ServiceAccess(service, address, "unreachable", error.message)
    except BurnishError as error:
        return ServiceAccess(service, address, "failed", error.message)
    return ServiceAccess(service, address, "accepted", base_model=base_model)
