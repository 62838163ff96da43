"""What a secret must be before a service starts on it: there, not well known, not guessable by hand, fit for a header.

Called by every service's main.py and by `burnish up`. No message ever holds the value.
"""

from __future__ import annotations

import re

from burnish.errors import PreconditionError

SHORTEST = 16  # characters of tokens and secret keys; a random one of this length has 64 bits even in hexadecimal
SHORTEST_NAME = 8  # of an access key, which is a name rather than a secret
FEWEST_DIFFERENT = 5  # characters; one random hexadecimal text of 16 in two million has fewer
HOW = "make one with `make secrets` (compose) or `openssl rand -base64 32`"
WELL_KNOWN = (
    *("admin", "administrator", "root", "user", "guest", "minio", "minioadmin", "seaweedfs", "weed", "burnish"),
    *("password", "passwd", "passphrase", "secret", "token", "key", "access", "credential", "bearer", "apikey", "api"),
    *(
        "changeme",
        "change",
        "replace",
        "insert",
        "put",
        "enter",
        "your",
        "my",
        "the",
        "me",
        "it",
        "here",
        "this",
        "with",
    ),
    *("test", "testing", "example", "sample", "demo", "default", "dummy", "foo", "bar", "todo", "none", "null", "xxx"),
    *("abc", "abcdef", "abcdefgh", "abcdefghijklmnop", "qwerty", "letmein", "welcome", "hello", "insecure", "dev"),
)
_ONLY_WELL_KNOWN = re.compile(f"(?:{'|'.join(sorted(WELL_KNOWN, key=len, reverse=True))})*")
_COUNTING = "0123456789" * 8
_PRINTING = re.compile(r"[\x21-\x7e]+")


def check(name: str, value: str, *, shortest: int = SHORTEST) -> None:
    """Raise PreconditionError, naming the variable and how to make a good value, if this one must not guard anything.

    Refused: empty; blanks, control characters or non-ASCII (a header or a .env file would change them); fewer than
    `shortest` characters; fewer than FEWEST_DIFFERENT different ones; well-known words padded with signs and digits,
    or counting alone, whatever its length (`minioadmin`, `Change-Me-1234567890`, 0123456789012345).
    """
    fault = _fault(value, shortest)
    if fault is not None:
        raise PreconditionError(f"{name} {fault}: {HOW}", variable=name)


def check_all(token: str, s3_access_key: str, s3_secret_key: str) -> None:
    """The three that every service has, under the names that every service reads them by."""
    check("BURNISH_TOKEN", token)
    check("BURNISH_S3_ACCESS_KEY", s3_access_key, shortest=SHORTEST_NAME)
    check("BURNISH_S3_SECRET_KEY", s3_secret_key)


def _fault(value: str, shortest: int) -> str | None:
    if not value:
        return "is not set or empty"
    if not _PRINTING.fullmatch(value):
        return "holds a blank, a control character or one that is not ASCII"
    if _is_well_known(value):
        return "is made of well-known words and numbers"
    if len(value) < shortest:
        return f"has {len(value)} characters; the fewest are {shortest}"
    if len(set(value)) < FEWEST_DIFFERENT:
        return f"repeats the same few characters; {FEWEST_DIFFERENT} different ones are the fewest"
    return None


def _is_well_known(value: str) -> bool:
    """No letters but those of well-known words, and they are at least half of it or its digits only count up or down."""
    letters, digits = re.sub(r"[^a-z]", "", value.lower()), re.sub(r"\D", "", value)
    counts = digits in _COUNTING or digits in _COUNTING[::-1]
    return _ONLY_WELL_KNOWN.fullmatch(letters) is not None and (counts or 2 * len(letters) >= len(value))
