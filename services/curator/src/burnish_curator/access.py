"""Who may call: whoever has the token (`burnish.asgi.access`), and browsers with a session of the review page, signed with it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from itsdangerous import Signer, TimestampSigner

SESSION_SECONDS = 12 * 3600
COOKIE = "burnish_review"
DEVICE_COOKIE = "burnish_device"
DEVICE_SECONDS = 90 * 24 * 3600
MOST_NAME_CHARACTERS = 60
REVIEW = "/review"  # pages that a browser signs in to; every other path but OPEN_PATHS needs the token
OPEN_PATHS = frozenset({"/healthz", "/readyz"})


class Access:
    """Checks tokens, browser sessions and known browsers. Each is a random name with its time, signed with the token: nothing is stored."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        signing: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._sessions = TimestampSigner(token, salt="burnish.review.session", **signing)
        self._devices = TimestampSigner(token, salt="burnish.review.device", **signing)
        self._forms = Signer(token, salt="burnish.review.form", **signing)

    def is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token)

    def new_session(self, reviewer: str = "") -> str:
        """reviewer: who signs in, as they say; without a name they get one."""
        random = secrets.token_urlsafe(12)
        name = " ".join(reviewer.split())[:MOST_NAME_CHARACTERS] or f"reviewer-{secrets.token_hex(2)}"
        return self._sessions.sign(f"{random}~{urlsafe_b64encode(name.encode()).decode()}").decode()

    def reviewer(self, session: str) -> str:
        """Who signed in to a session that `is_session`."""
        _, _, name = self._sessions.unsign(session).decode().partition("~")
        return urlsafe_b64decode(name).decode() or "somebody"

    def is_session(self, given: str) -> bool:
        return self._sessions.validate(given, max_age=SESSION_SECONDS)

    def new_device(self) -> str:
        """What a browser keeps that has signed in once. It opens nothing: it has a delay of its own (SignInDelay)."""
        return self._devices.sign(secrets.token_urlsafe(12)).decode()

    def is_device(self, given: str) -> bool:
        return self._devices.validate(given, max_age=DEVICE_SECONDS)

    def form_token(self, session: str) -> str:
        """What a form of this session must carry: other sites cannot read it (cross-site request forgery)."""
        return self._forms.get_signature(session).decode()

    def is_form_token(self, given: str, session: str) -> bool:
        return self._forms.verify_signature(session, given)


def is_review(path: str) -> bool:
    return path == REVIEW or path.startswith(f"{REVIEW}/")


def needs_no_token(path: str) -> bool:
    return path in OPEN_PATHS or is_review(path)


class SignInDelay:
    """How long a caller must wait after wrong tokens: not at all for the first FREE_FAILURES, then 1, 2, 4 … up to LONGEST_WAIT_SECONDS.

    A caller is an address, or a browser that has signed in before, so that strangers behind the same address do not lock it out.

    Nothing sleeps: a caller that is too early is told when to come back, and what it sent is not looked at. Failures are
    forgotten FORGOTTEN_AFTER_SECONDS after the last one. At most MOST_CALLERS are remembered; the oldest goes first.
    Thread-safe. It slows down guessing by hand; the token's length is what makes guessing hopeless.
    """

    FREE_FAILURES = 3
    LONGEST_WAIT_SECONDS = 60.0
    FORGOTTEN_AFTER_SECONDS = 900.0
    MOST_CALLERS = 1024

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # caller -> how many, when the last

    def wait_seconds(self, caller: str) -> float:
        """0 if the caller may try now."""
        with self._lock:
            count, last = self._known(caller)
            excess = count - self.FREE_FAILURES
            wait = min(2.0 ** min(excess, 16), self.LONGEST_WAIT_SECONDS) if excess >= 0 else 0.0
            return max(0.0, last + wait - self._clock())

    def failed(self, caller: str) -> None:
        with self._lock:
            count, _ = self._known(caller)
            self._failures[caller] = (count + 1, self._clock())
            self._failures.move_to_end(caller)
            if len(self._failures) > self.MOST_CALLERS:
                self._failures.popitem(last=False)

    def succeeded(self, caller: str) -> None:
        with self._lock:
            self._failures.pop(caller, None)

    def _known(self, caller: str) -> tuple[int, float]:
        count, last = self._failures.get(caller, (0, 0.0))
        return (0, 0.0) if self._clock() - last > self.FORGOTTEN_AFTER_SECONDS else (count, last)
