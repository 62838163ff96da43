"""What the `.env` of the compose stack says to a client on its host. Read by `burnish login --env-file`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish_client.config import VARIABLES, Door

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
    values = {name: value for name, value in dotenv_values(path).items() if value}
    bind = values.get("BURNISH_BIND", "")
    host = "127.0.0.1" if bind in EVERY_INTERFACE else bind
    secure = "BURNISH_TLS_CERTIFICATE" in values or "BURNISH_TLS_DIR" in values
    ca = values.get("BURNISH_CA") or (f"{values['BURNISH_TLS_DIR']}/ca.pem" if "BURNISH_TLS_DIR" in values else None)
    return EnvFile(
        addresses={door: values.get(VARIABLES[door]) or _address(door, host, values, secure=secure) for door in PORTS},
        token=values.get("BURNISH_TOKEN"),
        ca=(path.parent / ca).absolute() if ca else None,
    )


def _address(door: Door, host: str, values: dict[str, str], *, secure: bool) -> str:
    variable, default = PORTS[door]
    scheme = ("grpc" if door == "trainer" else "http") + ("s" if secure else "")
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{name}:{values.get(variable, default)}"
