"""login.json: where the user's services are, with token and CA. Written by `burnish login` alone, mode 0600, replaced whole."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from pydantic import Field, ValidationError

from burnish.errors import CorruptDataError, PreconditionError
from burnish.schemas.base import Frozen

OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Login(Frozen):
    """The whole file. Addresses are None for doors that were not given; ca is an absolute path."""

    schema_version: int = 1
    curator_url: str | None = None
    trainer_address: str | None = None
    inference_url: str | None = None
    token: str = Field(repr=False)
    ca: str | None = None


def path() -> Path:
    """In the user's configuration folder: XDG_CONFIG_HOME where that is an absolute path (as its specification has it), else ~/.config."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    return folder / "burnish" / "login.json"


def read() -> Login | None:
    """None where nobody is logged in. PreconditionError where others may read the token, CorruptDataError where it is no login."""
    file = path()
    try:
        with file.open("rb") as handle:
            mode, content = os.fstat(handle.fileno()).st_mode, handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PreconditionError(f"{file} cannot be read ({error.strerror}): make it yours, or remove it") from error
    if mode & OTHERS:
        raise PreconditionError(
            f"{file} holds a token and others may read it (mode {stat.S_IMODE(mode):04o}): `chmod 600 {file}`, "
            "and change the token if it was read"
        )
    try:
        return Login.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise CorruptDataError(
            f"{file} is not a login ({field}: {first['msg']}): `burnish logout`, then `burnish login`"
        ) from error


def write(login: Login) -> Path:
    """Replace the file whole, so that it is never half written and never readable by others, not for a moment."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, fresh = tempfile.mkstemp(prefix=".login-", dir=file.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(login.model_dump_json(indent=2) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        Path(fresh).replace(file)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    return file


def remove() -> bool:
    """False where there was none."""
    try:
        path().unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
