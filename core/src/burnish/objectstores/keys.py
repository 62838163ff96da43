"""The rule for object keys, the same in every store."""

from __future__ import annotations

from burnish.errors import CorruptDataError, InvalidInputError

MAX_KEY_BYTES = 1024  # S3's own limit


def check_key(key: str) -> str:
    """Return the key, or raise InvalidInputError.

    A key is 1 to 1024 bytes of UTF-8 without control characters; its '/'-separated parts are not empty, '.' or '..'.
    """
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise InvalidInputError(
            f"object key {key!r}: use non-empty parts between single '/', none of them '.' or '..'", field="key"
        )
    return _check_characters(key, "key")


def check_prefix(prefix: str) -> str:
    """Return the prefix, or raise InvalidInputError: the start of a key, possibly empty, possibly ending in '/'."""
    *folders, last = prefix.split("/")
    if any(part in ("", ".", "..") for part in folders) or last in (".", ".."):
        raise InvalidInputError(f"object prefix {prefix!r}: it is not the start of any key", field="prefix")
    return _check_characters(prefix, "prefix")


def check_folder(prefix: str) -> str:
    """Return the prefix, or raise InvalidInputError: empty, or ending in '/'."""
    if prefix and not prefix.endswith("/"):
        raise InvalidInputError(f"folder prefix {prefix!r}: it must be empty or end in '/'", field="prefix")
    return check_prefix(prefix)


def check_size(key: str, found: int, stated: int | None) -> None:
    """CorruptDataError if a size is stated and the object has another."""
    if stated is not None and found != stated:
        raise CorruptDataError(
            f"{key} does not have the size that its manifest states ({found} bytes and not {stated}): restore it from a backup",
            key=key,
        )


def _check_characters(text: str, field: str) -> str:
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"object {field} {text!r} is not valid Unicode: {error.reason}", field=field) from error
    if size_bytes > MAX_KEY_BYTES:
        raise InvalidInputError(
            f"object {field} {text[:80]!r}… has {size_bytes} bytes; at most {MAX_KEY_BYTES} are allowed", field=field
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise InvalidInputError(f"object {field} {text!r} has control characters", field=field)
    return text
