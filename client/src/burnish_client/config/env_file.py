"""The endpoints of the compose stack, read from its `.env`. Used by `burnish login --env-file` and `burnish demo --target compose`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish_client.config.endpoints import VARIABLES, Service

EVERY_INTERFACE = ("", "0.0.0.0", "::", "[::]")  # addresses to listen on, not to connect to
PORTS: dict[Service, tuple[str, str]] = {
    "curator": ("BURNISH_CURATOR_PORT", "8701"),
    "trainer": ("BURNISH_TRAINER_PORT", "8702"),
    "inference": ("BURNISH_INFERENCE_PORT", "8703"),
}


@dataclass(frozen=True)
class EnvFile:
    """Addresses as clients take them. token and ca are None if the file has none."""

    addresses: dict[Service, str]
    token: str | None = field(repr=False)
    ca: Path | None


def read_env_file(path: Path) -> EnvFile:
    """Where the stack publishes its services: an address that the file has itself, else BURNISH_BIND and the service's port.

    TLS is on if BURNISH_TLS_CERTIFICATE or BURNISH_TLS_DIR is set. The CA is BURNISH_CA, else ca.pem of that folder, both
    relative to the file. Raises InvalidInputError if the file cannot be read.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.strerror}): `make secrets` makes the compose stack's .env", file=path
        ) from error
    return read_here({}, path)


def read_here(environment: Mapping[str, str], path: Path = Path(".env")) -> EnvFile:
    """The same of this folder's file, which need not exist. BURNISH_* variables of the environment win, as they do in compose."""
    from dotenv import dotenv_values

    variables = {name: value for name, value in environment.items() if name.startswith("BURNISH_")}
    values = {name: value for name, value in (dotenv_values(path) | variables).items() if value}
    bind = values.get("BURNISH_BIND", "")
    host = "127.0.0.1" if bind in EVERY_INTERFACE else bind
    secure = "BURNISH_TLS_CERTIFICATE" in values or "BURNISH_TLS_DIR" in values
    ca = values.get("BURNISH_CA") or (f"{values['BURNISH_TLS_DIR']}/ca.pem" if "BURNISH_TLS_DIR" in values else None)
    name, s = f"[{host}]" if ":" in host and not host.startswith("[") else host, "s" if secure else ""
    addresses: dict[Service, str] = {}
    for service, (variable, default) in PORTS.items():
        published = f"{'grpc' if service == 'trainer' else 'http'}{s}://{name}:{values.get(variable, default)}"
        addresses[service] = values.get(VARIABLES[service]) or published
    return EnvFile(
        addresses=addresses,
        token=values.get("BURNISH_TOKEN"),
        ca=(path.parent / ca).absolute() if ca else None,
    )
