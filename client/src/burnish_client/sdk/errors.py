"""Turns the services' answers back into the error classes that the services raised.

Used by the SDK clients only. gRPC is imported only if a call failed, so that HTTP-only commands start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from burnish.errors import BurnishError, Code, UnavailableError, from_dict

if TYPE_CHECKING:
    import grpc


def of_status(code: Code, message: str) -> BurnishError:
    """The class of a bare code; a code that several classes share gives the base class with that code."""
    classes = [cls for cls in BurnishError.__subclasses__() if cls.code is code]
    if len(classes) == 1:
        return classes[0](message)
    error = BurnishError(message)
    error.code = code
    return error


def from_http(response: httpx.Response, where: str) -> BurnishError:
    """The error of an answer of 400 or more whose body has been read; `where` names the part and its address.

    Our own body is `{"error": {"code", "reason", "message", "metadata"}}`, the OpenAI-shaped one `{"error": {"message",
    "code"}}` with the reason in lower case. Anything else is not ours (a proxy, another server): its status decides.
    """
    body = _error_body(response)
    if body is None:
        return of_status(
            _code_of_status(response.status_code),
            f"{where} answered {response.status_code} {response.reason_phrase}: {response.text[:200]}".rstrip(": "),
        )
    if "reason" not in body:
        body = {**body, "reason": str(body.get("code", "")).upper(), "code": _code_of_status(response.status_code).name}
    error = from_dict(body)
    if body.get("request_id"):
        error.metadata["request_id"] = str(body["request_id"])
    return error


def _error_body(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) and "message" in error else None


def _code_of_status(status: int) -> Code:
    """The first code, in the order of burnish.errors.Code, that has this HTTP status."""
    ambiguous = {
        400: Code.INVALID_ARGUMENT,
        409: Code.ALREADY_EXISTS,
        422: Code.INVALID_ARGUMENT,
        500: Code.INTERNAL,
        502: Code.UNAVAILABLE,
    }
    return ambiguous.get(status) or next((code for code in Code if code.http_status == status), Code.UNKNOWN)


def from_transport(error: httpx.TransportError, where: str) -> UnavailableError:
    """The error for a request that got no answer."""
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    detail = f" ({error})" if str(error) else ""
    return UnavailableError(f"{where} {what}{detail}: `burnish status` shows what runs, `burnish up` starts it")


def from_rpc(error: grpc.RpcError, where: str) -> BurnishError:
    """The error of a failed call: from the ErrorInfo in `grpc-status-details-bin`, else from the bare status."""
    from google.rpc import error_details_pb2, status_pb2

    name, message = error.code().name, error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return from_dict(
                    {"code": name, "reason": info.reason, "message": message, "metadata": dict(info.metadata)}
                )
    if name == Code.UNAVAILABLE.name:
        return UnavailableError(
            f"{where} cannot be reached ({message}): `burnish status` shows what runs, `burnish up` starts it"
        )
    return of_status(Code[name], f"{where}: {message}")
