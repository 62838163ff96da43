"""The inference service as the trainer sees it: the part that may have a job's device, and lends it (ADR 17).

The scheduler asks it for a job's devices, and preflight what a job could have. Knows no job and no queue.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from burnish.errors import UnavailableError
from burnish.schemas.device import DeviceStatus, LeaseAnswer, LeaseRequest

SECONDS = 10.0
Answer = TypeVar("Answer", bound=BaseModel)


class Serving(Protocol):
    """Calls block. Each raises UnavailableError if no such answer comes, and may be repeated then."""

    def status(self) -> DeviceStatus: ...

    def ask(self, request: LeaseRequest) -> LeaseAnswer:
        """Ask for devices, or renew. The answer says whether they are the asker's now."""
        ...

    def give_back(self, holder: str) -> None: ...


class HttpServing:
    """Serving at a URL. ca: PEM file of the authority that its certificate is trusted by; None: the system's."""

    def __init__(self, url: str, token: str, ca: Path | None = None, seconds: float = SECONDS) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._seconds = seconds
        handlers: list[Any] = [urllib.request.ProxyHandler({})]
        if self._url.startswith("https"):
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
        self._opener = urllib.request.build_opener(*handlers)

    def status(self) -> DeviceStatus:
        return self._call("GET", "/v1/device", DeviceStatus)

    def ask(self, request: LeaseRequest) -> LeaseAnswer:
        return self._call("POST", "/v1/device/lease", LeaseAnswer, request)

    def give_back(self, holder: str) -> None:
        self._call("DELETE", f"/v1/device/lease/{quote(holder, safe='')}", DeviceStatus)

    def _call(self, method: str, path: str, kind: type[Answer], body: BaseModel | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        data = body.model_dump_json().encode() if body else None
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._seconds) as response:
                return kind.model_validate_json(response.read())
        except urllib.error.HTTPError as error:
            raise self._unavailable(f"answers {error.code}: {_message(error.read())}") from error
        except ValidationError as error:
            raise self._unavailable("gives another answer than this version expects: run the same version") from error
        except OSError as error:
            raise self._unavailable(f"does not answer ({getattr(error, 'reason', error)})") from error

    def _unavailable(self, what: str) -> UnavailableError:
        return UnavailableError(
            f"the inference service at {self._url} {what}. The job waits, since vLLM may have the device; if none is to be "
            "asked, unset BURNISH_TRAINER_INFERENCE_URL"
        )


def lent_devices(serving: Serving) -> list[str]:
    """Those that a job can have although vLLM is on them now. UnavailableError as `Serving`."""
    status = serving.status()
    return status.devices if status.sharing == "sleep" else []


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
