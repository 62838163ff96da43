"""The one error tree of Burnish.

Raised by every room; translated at three edges only: the FastAPI handler, the gRPC interceptor, and the client that
rebuilds the same class from `reason`. Must not import fastapi or grpc. Source of codes: google/rpc/code.proto.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it takes long to import, and every command of the client imports this file
    from pydantic import ValidationError


class Code(Enum):
    """Canonical gRPC code: (number, HTTP status), as google/rpc/code.proto maps them."""

    INVALID_ARGUMENT = (3, 400)
    FAILED_PRECONDITION = (9, 400)
    OUT_OF_RANGE = (11, 400)
    UNAUTHENTICATED = (16, 401)
    PERMISSION_DENIED = (7, 403)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    ABORTED = (10, 409)
    RESOURCE_EXHAUSTED = (8, 429)
    CANCELLED = (1, 499)
    DATA_LOSS = (15, 500)
    UNKNOWN = (2, 500)
    INTERNAL = (13, 500)
    UNIMPLEMENTED = (12, 501)
    UNAVAILABLE = (14, 503)
    DEADLINE_EXCEEDED = (4, 504)

    @property
    def grpc_number(self) -> int:
        return self.value[0]

    @property
    def http_status(self) -> int:
        return self.value[1]


class BurnishError(Exception):
    """Base of every error a user may see.

    message: what was wrong, where (file, line, field), and what to do.
    metadata: str -> str facts for programs (ids, limits); never secrets. Picklable.
    """

    code: Code = Code.INTERNAL

    def __init__(self, message: str, **metadata: Any) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, str] = {key: str(value) for key, value in metadata.items()}

    @property
    def http_status(self) -> int:
        """That of the code, unless HTTP has a better word."""
        return self.code.http_status

    @property
    def reason(self) -> str:
        """UPPER_SNAKE form of the class name without `Error`: the machine-readable reason (google.rpc.ErrorInfo)."""
        name = type(self).__name__.removesuffix("Error")
        return "".join("_" + c if c.isupper() and i else c for i, c in enumerate(name)).upper()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.metadata), vars(self)

    def to_dict(self) -> dict[str, Any]:
        """The wire form used by HTTP bodies: {"code", "reason", "message", "metadata"}."""
        return {"code": self.code.name, "reason": self.reason, "message": self.message, "metadata": self.metadata}


def _rebuild(cls: type[BurnishError], message: str, metadata: dict[str, str]) -> BurnishError:
    error = cls(message)
    error.metadata = dict(metadata)
    return error


class InvalidInputError(BurnishError):
    """A request, file or row is malformed. Fix the named place and send it again; a retry as-is fails again.

    violations: (field, what is wrong with it), of a request whose faults are told all at once.
    """

    code = Code.INVALID_ARGUMENT
    violations: tuple[tuple[str, str], ...] = ()


class LeakageError(BurnishError):
    """A held-out or benchmark-only prompt is in the training data. Remove the named questions and build again."""

    code = Code.FAILED_PRECONDITION


class PreconditionError(BurnishError):
    """The system is not in a state in which this can be done (no corrections yet, job already ended). The message says what first."""

    code = Code.FAILED_PRECONDITION


class IncompatibleAdapterError(BurnishError):
    """An adapter does not fit the base model that is served (digest, tensor names, shapes, rank, file kinds). Train it again on this base."""

    code = Code.FAILED_PRECONDITION


class UnprovenError(BurnishError):
    """No stored evaluation allows this promotion. Run `burnish eval`, or give a reason with --override."""

    code = Code.FAILED_PRECONDITION


class HeldError(BurnishError):
    """Something rests on the object that was to be removed. Remove the named holders first."""

    code = Code.FAILED_PRECONDITION


class NotFoundError(BurnishError):
    """The named thing does not exist. List what exists with the matching `ls` command."""

    code = Code.NOT_FOUND


class ErasedError(NotFoundError):
    """The named thing held text that was erased for good. Take the one that the message names in its place, if there is one."""

    @property
    def http_status(self) -> int:
        return 410


class AlreadyExistsError(BurnishError):
    """This id or name is taken by something with other content. Choose another id."""

    code = Code.ALREADY_EXISTS


class ConflictError(BurnishError):
    """A conditional write lost its race. Read again and decide again."""

    code = Code.ABORTED


class UnauthenticatedError(BurnishError):
    """The token is missing or wrong. Set BURNISH_TOKEN (or the service's own token)."""

    code = Code.UNAUTHENTICATED


class ForbiddenError(BurnishError):
    """The credential is right and does not open this. Use the token of the owner."""

    code = Code.PERMISSION_DENIED


class UnavailableError(BurnishError):
    """A part that is needed does not answer. Safe to retry with back-off."""

    code = Code.UNAVAILABLE


class DeviceLentError(UnavailableError):
    """A training job has the device of the engine. Wait as long as Retry-After says, and ask again; it is no failure."""


class ResourceExhaustedError(BurnishError):
    """Something needs more time or memory than it may have. Ask for less at a time."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineError(BurnishError):
    """Something took longer than its limit. The message says what and the limit."""

    code = Code.DEADLINE_EXCEEDED


class CorruptDataError(BurnishError):
    """Stored bytes do not match their digest or schema. Restore from backup; never written over silently."""

    code = Code.DATA_LOSS


class InternalError(BurnishError):
    """A defect of ours. The log of the named service has the traceback under the request id."""

    code = Code.INTERNAL


def by_reason(reason: str) -> type[BurnishError]:
    """The class whose `reason` this is; BurnishError for one this version does not know."""
    classes = BurnishError.__subclasses__()
    for cls in classes:
        if cls("").reason == reason:
            return cls
        classes += cls.__subclasses__()
    return BurnishError


def from_dict(body: dict[str, Any]) -> BurnishError:
    """Rebuild the error that `to_dict` described; an unknown reason keeps its code."""
    error = by_reason(str(body.get("reason", "")))(str(body.get("message", "")))
    error.metadata = {str(k): str(v) for k, v in (body.get("metadata") or {}).items()}
    if type(error) is BurnishError and body.get("code") in Code.__members__:
        error.code = Code[str(body["code"])]
    return error


def validation_problems(error: ValidationError, *, whole: str = "the whole", at_most: int = 3) -> str:
    """`field.inner: what is wrong` for the first faults that pydantic found. whole: what a fault without a field is called."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    texts = [f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}" for fault in faults[:at_most]]
    more = f"; and {len(faults) - at_most} more" if len(faults) > at_most else ""
    return "; ".join(texts) + more
