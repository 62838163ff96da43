"""login.json: the addresses of the user's services, with token and CA. Written only by `burnish login`, mode 0600."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import Field, ValidationError

from burnish.errors import CorruptDataError, PreconditionError, validation_problems
from burnish.files import write_atomically
from burnish.schemas.base import Frozen

OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Login(Frozen):
    """The whole file. Addresses are None for services that were not given; ca is an absolute path."""

    schema_version: int = 1
    curator_url: str | None = None
    trainer_address: str | None = None
    inference_url: str | None = None
    token: str = Field(repr=False)
    ca: str | None = None


def path() -> Path:
    """In the user's configuration folder: XDG_CONFIG_HOME if that is an absolute path (as its specification demands), else ~/.config."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    return folder / "burnish" / "login.json"


def read() -> Login | None:
    """None if nobody is logged in. Raises PreconditionError if others may read the token, CorruptDataError if it is no login."""
    file = path()
    try:
        with file.open("rb") as handle:
            mode, content = os.fstat(handle.fileno()).st_mode, handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PreconditionError(
            f"{file} cannot be read ({error.strerror}): take ownership of it, or remove it"
        ) from error
    if mode & OTHERS:
        raise PreconditionError(
            f"{file} holds a token and others may read it (mode {stat.S_IMODE(mode):04o}): `chmod 600 {file}`, "
            "and change the token if it was read"
        )
    try:
        return Login.model_validate_json(content)
    except ValidationError as error:
        problem = validation_problems(error, whole="the file", at_most=1)
        raise CorruptDataError(f"{file} is not a login ({problem}): `burnish logout`, then `burnish login`") from error


def write(login: Login) -> Path:
    """Replace the file as a whole. Nobody else can read it at any moment."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(file, login.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
    return file


def remove() -> bool:
    """False if there was none."""
    try:
        path().unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
