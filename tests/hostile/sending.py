"""One HTTP request as bytes on a connection of its own, and what came back. No client library, which would mend it first."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

LIMIT_SECONDS = 60.0
Service = Literal["curator", "inference"]
Header = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """well_formed: HTTP that must be answered; what is none may also end the connection. allowed: False if whoever sends this has no access."""

    service: Service
    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes = field(default=b"", repr=False)
    well_formed: bool = True
    allowed: bool = True

    def encoded(self, token: str, host: str) -> bytes:
        """A token, a host and a length are added unless the headers have some; the token only if access is allowed."""
        names = {name.lower() for name, _ in self.headers}
        headers = list(self.headers)
        if "host" not in names:
            headers.append(("Host", host))
        if self.allowed and "authorization" not in names:
            headers.append(("Authorization", f"Bearer {token}"))
        if self.body and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(self.body))))
        headers.append(("Connection", "close"))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogatepass") + self.body


@dataclass(frozen=True)
class Answer:
    """status: 0 if the connection ended without one."""

    status: int
    content: bytes


def send(address: tuple[str, int], data: bytes) -> Answer:
    """Raises TimeoutError if no answer has come whole in LIMIT_SECONDS."""
    content = b""
    with socket.create_connection(address, timeout=LIMIT_SECONDS) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before its end: the answer may be there already
            connection.sendall(data)
        with suppress(ConnectionResetError):
            while block := connection.recv(65536):
                content += block
    first, _, _ = content.partition(b"\r\n")
    words = first.split(b" ")
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit()
    return Answer(int(words[1]) if is_http else 0, content)
