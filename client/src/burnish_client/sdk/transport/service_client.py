"""What the clients of all three services have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from burnish_client.config.endpoints import ClientSettings, Service


class ServiceClient(ABC):
    """A client of one service. Use it as a context manager, or call `close`.

    ca: PEM file of the authority that signed the service's certificate; None: the system's authorities.
    """

    service: ClassVar[Service]

    def __init__(self, address: str, token: str, *, ca: Path | None = None, timeout_seconds: float = 60.0) -> None:
        self.address, self._token, self._ca, self._timeout_seconds = address.rstrip("/"), token, ca, timeout_seconds

    @classmethod
    def from_settings(cls, settings: ClientSettings | None = None) -> Self:
        """A client of the service that variables, the stack or the login name."""
        settings = settings or ClientSettings()
        return cls(settings.address(cls.service), settings.secret_token(), ca=settings.ca)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def _where(self) -> str:
        """For error messages."""
        return f"{self.service} at {self.address}"

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def check_access(self) -> str | None:
        """Make one cheap read that shows whether the service answers and accepts the token. Raises as every call does.

        Returns the name of the base model that it serves, if that read says it.
        """
