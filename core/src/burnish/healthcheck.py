"""`python -m burnish.healthcheck PORT PATH`: exit code 0 where this host's HTTP door answers 200, else 1 and why.

For the health checks of containers. Over TLS where BURNISH_TLS_CERTIFICATE is set, as the service itself. The trainer has
its own: `python -m burnish_trainer.healthcheck`.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from burnish.certificates import CERTIFICATE, pinned

HOST = "127.0.0.1"
LIMIT_SECONDS = 5.0


def fault(port: int, path: str, certificate: Path | None) -> str | None:
    """What is wrong with the door; None where it answers 200. certificate: the one that it shows, None for plain HTTP."""
    try:
        connection = (
            http.client.HTTPSConnection(HOST, port, timeout=LIMIT_SECONDS, context=pinned(certificate))
            if certificate
            else http.client.HTTPConnection(HOST, port, timeout=LIMIT_SECONDS)
        )
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(500).decode(errors="replace")
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer on port {port}: {error}"
    return None if response.status == http.client.OK else f"{path} answered {response.status}: {body}"


def main() -> None:
    if len(sys.argv) != 3 or not sys.argv[1].isdecimal():
        sys.exit(f"{__doc__}")
    certificate = os.environ.get(CERTIFICATE)
    sys.exit(fault(int(sys.argv[1]), sys.argv[2], Path(certificate) if certificate else None))


if __name__ == "__main__":
    main()
