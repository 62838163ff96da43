"""What the `.env` of the compose stack says to a client on its host.

Read by `burnish login --env-file` and by `burnish demo --target compose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish_client.config.endpoints import VARIABLES, Door

EVERY_INTERFACE = ("", "0.0.0.0", "::", "[::]")  # to listen on, not to ask
PORTS: dict[Door, tuple[str, str]] = {
    "curator": ("BURNISH_CURATOR_PORT", "8701"),
    "trainer": ("BURNISH_TRAINER_PORT", "8702"),
    "inference": ("BURNISH_INFERENCE_PORT", "8703"),
}


@dataclass(frozen=True)
class EnvFile:
    """Addresses as clients take them; token and ca None where the file has none."""

    addresses: dict[Door, str]
    token: str | None = field(repr=False)
    ca: Path | None


def read_env_file(path: Path) -> EnvFile:
    """Where the stack's doors are published: an address that the file names itself, else BURNISH_BIND and the door's port.

    TLS where BURNISH_TLS_CERTIFICATE or BURNISH_TLS_DIR is set; the CA is BURNISH_CA, else ca.pem of that folder, both relative
    to the file. Raises InvalidInputError where it cannot be read.
    """
    from dotenv import dotenv_values

    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.strerror}): `make secrets` makes the compose stack's .env", file=path
        ) from error
    return _as_client({name: value for name, value in dotenv_values(path).items() if value}, path.parent)


def read_here(environment: Mapping[str, str], path: Path = Path(".env")) -> EnvFile:
    """The same of this folder's file, which need not be there; BURNISH_* of the environment win over it, as compose has it."""
    from dotenv import dotenv_values

    values = dotenv_values(path) | {k: v for k, v in environment.items() if k.startswith("BURNISH_")}
    return _as_client({name: value for name, value in values.items() if value}, path.parent)


def _as_client(values: Mapping[str, str], folder: Path) -> EnvFile:
    bind = values.get("BURNISH_BIND", "")
    host = "127.0.0.1" if bind in EVERY_INTERFACE else bind
    secure = "BURNISH_TLS_CERTIFICATE" in values or "BURNISH_TLS_DIR" in values
    ca = values.get("BURNISH_CA") or (f"{values['BURNISH_TLS_DIR']}/ca.pem" if "BURNISH_TLS_DIR" in values else None)
    return EnvFile(
        addresses={door: values.get(VARIABLES[door]) or _address(door, host, values, secure=secure) for door in PORTS},
        token=values.get("BURNISH_TOKEN"),
        ca=(folder / ca).absolute() if ca else None,
    )


def _address(door: Door, host: str, values: Mapping[str, str], *, secure: bool) -> str:
    variable, default = PORTS[door]
    scheme = ("grpc" if door == "trainer" else "http") + ("s" if secure else "")
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{name}:{values.get(variable, default)}"
