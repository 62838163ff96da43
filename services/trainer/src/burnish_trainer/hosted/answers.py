"""What providers answer, in the words of the port: which error is a refusal, which is no answer, and how long to wait.

Used by the files in providers/. Imports no SDK.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from burnish.errors import BurnishError, InvalidInputError, PreconditionError, UnauthenticatedError
from burnish.schemas.training.hosted import ProviderName
from burnish_trainer.hosted.provider import Missing, NotDone, Refused, Unanswered

UNKNOWN_OUTCOME = (408, 409)  # beside 5xx
NO_MONEY = 402
LONGEST_RETRY_AFTER_SECONDS = 86_400.0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer that is an error. code: the provider's own, if it has one."""

    status: int
    message: str
    headers: Mapping[str, str]
    code: str | None = None


@dataclass(frozen=True)
class Answers:
    """The errors of one provider's SDK. status_error: of an HTTP status, which `read` makes an Answer of; silent: of no answer.

    secret: the credential, which no message has.
    """

    provider: ProviderName
    endpoint: str
    secret: Callable[[], str]
    status_error: type[Exception] | tuple[type[Exception], ...]
    read: Callable[[Any], Answer]
    silent: tuple[type[Exception], ...]

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The SDK's errors, and what it makes of a malformed body, in the words of the port."""
        try:
            yield
        except self.status_error as error:
            raise self.error_of(self.read(error)) from error
        except self.silent as error:
            raise Unanswered(self.without_secret(f"{type(error).__name__}: {error}")) from error
        except (AttributeError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            raise Unanswered(self.without_secret(f"its answer cannot be read: {error}")) from error

    def error_of(self, answer: Answer) -> Unanswered | Refused:
        status, message = answer.status, self.without_secret(f"HTTP {answer.status}: {answer.message}")
        if status == 429 and answer.code != "insufficient_quota":
            return NotDone(message, retry_after(answer.headers))
        if (
            status in UNKNOWN_OUTCOME or status >= 500 or status < 400
        ):  # below: an SDK that misses something in an answer
            return Unanswered(message, retry_after(answer.headers))
        if status == 404:
            return Missing(self.refusal(InvalidInputError, message))
        kind = UnauthenticatedError if status == 401 else PreconditionError if status in (NO_MONEY, 403, 429) else None
        return Refused(self.refusal(kind or InvalidInputError, message))

    def refusal(self, kind: type[BurnishError], message: str) -> BurnishError:
        return kind(f"{self.endpoint} refuses it: {message}", provider=self.provider)

    def without_secret(self, text: str) -> str:
        secret = self.secret()
        return text.replace(secret, "‹key›") if secret else text


def answer_of(error: Any) -> Answer:
    """Of an APIStatusError of the SDKs that one generator makes: OpenAI's, Together's, Fireworks'."""
    return Answer(error.status_code, error.message, error.response.headers, getattr(error, "code", None))


def named(thing: Any, attribute: str = "id") -> str:
    """SDK objects are not validated, so a body of another kind is found here. ValueError if it has no such text."""
    found = getattr(thing, attribute, None)
    if not isinstance(found, str) or not found:
        raise ValueError(f"it names no {attribute}")
    return found


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds or a date, as HTTP has it; a date is held against the provider's own clock. A day at most: a slip there is no end here."""
    text = headers.get("retry-after", "")
    try:
        return min(max(0.0, float(text)), LONGEST_RETRY_AFTER_SECONDS)
    except ValueError:
        pass
    try:
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return min(max(0.0, (parsedate_to_datetime(text) - now).total_seconds()), LONGEST_RETRY_AFTER_SECONDS)
    except (ValueError, TypeError):
        return None
