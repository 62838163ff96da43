"""`python -m burnish.service.readiness PORT`: is the HTTP service in this container ready? What the images' health checks run.

Loads little beside the standard library, so that it costs a container milliseconds. The trainer, which speaks gRPC, has its own.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from burnish.service.certificates import CERTIFICATE, pinned

LIMIT_SECONDS = 5.0


def question(port: int, environment: Mapping[str, str]) -> str | None:
    """None if /readyz of localhost answers 200, else what it said instead.

    https if the service has a certificate (BURNISH_TLS_CERTIFICATE), which alone is trusted, under any name.
    """
    certificate = environment.get(CERTIFICATE)
    url = f"{'https' if certificate else 'http'}://localhost:{port}/readyz"
    try:
        context = pinned(Path(certificate)) if certificate else None
    except OSError as error:
        return f"{url} cannot be asked: {CERTIFICATE}: {certificate}: {error}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=LIMIT_SECONDS) as answer:
            return None if answer.status == HTTPStatus.OK else f"{url} answered {answer.status}"
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"


if __name__ == "__main__":
    sys.exit(question(int(sys.argv[1]), os.environ))
