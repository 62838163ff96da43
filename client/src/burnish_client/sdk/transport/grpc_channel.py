"""The trainer's address in any of its three forms, and channels to it. Used by its client, by `burnish login` and by health checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import grpc

from burnish.errors import InvalidInputError
from burnish_client.sdk.transport import tls

NO_PROXY = ("grpc.enable_http_proxy", 0)


@dataclass(frozen=True)
class GrpcAddress:
    """`host:port` or `grpc://host:port` without TLS, `grpcs://host:port` with it. target: as gRPC takes it."""

    target: str
    secure: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidInputError that shows the three forms."""
        parts = urlsplit(text if "://" in text else f"grpc://{text}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not (host and port) or parts.scheme not in ("grpc", "grpcs") or parts.path.strip("/") or parts.query:
            raise InvalidInputError(
                f"{text!r} is no address of a trainer: write host:port or grpc://host:port, or grpcs://host:port for TLS",
                field="trainer_address",
            )
        return cls(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", parts.scheme == "grpcs")

    def __str__(self) -> str:
        return f"{'grpcs' if self.secure else 'grpc'}://{self.target}"

    def open(self, ca: Path | None, options: list[tuple[str, Any]]) -> grpc.Channel:
        """A synchronous channel. Over TLS it trusts the authorities of `ca`, or the system's."""
        chosen = [NO_PROXY, *options]
        if not self.secure:
            return grpc.insecure_channel(self.target, options=chosen)
        return grpc.secure_channel(self.target, grpc.ssl_channel_credentials(tls.authorities(ca)), options=chosen)
