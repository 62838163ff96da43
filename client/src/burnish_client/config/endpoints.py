"""Addresses, token and CA of the services: BURNISH_* variables first, then one file, the stack's or the login's.

Used by every client of the SDK and by the commands. Why this order: docs/adr/0008-access.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.config import login_file

Service = Literal["curator", "trainer", "inference"]
FIELDS: dict[Service, str] = {"curator": "curator_url", "trainer": "trainer_address", "inference": "inference_url"}
VARIABLES: dict[Service, str] = {service: f"BURNISH_{name.upper()}" for service, name in FIELDS.items()}
STATE_FILE = "stack.json"


@dataclass(frozen=True)
class EndpointFile:
    """The file that names the services. values: addresses, token and ca, as far as the file has them."""

    kind: Literal["stack", "login", "none"]
    path: Path
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """For people."""
        return f"the stack in {self.path.parent}" if self.kind == "stack" else f"the login in {self.path}"


def find_endpoint_file(home: Path) -> EndpointFile:
    """The stack of `home` unless `burnish down` has ended it; else the login; else the ended stack.

    Decided by what the files say, never by what happens to run: a stack that crashed stays first, so that commands do not
    go to another one. One file gives everything; two are never mixed. Raises CorruptDataError, PreconditionError.
    """
    path = home / STATE_FILE
    stack: dict[str, Any] | None = None
    try:
        stack = dict(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        pass
    except orjson.JSONDecodeError as error:
        raise CorruptDataError(
            f"{path} is not JSON ({error}): end the stack with `burnish down`, remove the file and run `burnish up`"
        ) from error
    if stack is None or stack.get("phase") == "stopped":
        login = login_file.read()
        if login is not None:
            return EndpointFile("login", login_file.path(), _known(login.model_dump()))
    return EndpointFile("none", path) if stack is None else EndpointFile("stack", path, _known(stack))


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in (*FIELDS.values(), "token", "ca") if values.get(name)}


class FileSource(PydanticBaseSettingsSource):
    """Settings source: what `find_endpoint_file` finds.

    If a variable or an argument names an address, the file's token and CA are left out: a token never goes to an address
    that it was not kept with.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = dict(find_endpoint_file(Path(self.current_state.get("home") or ".burnish")).values)
        if any(self.current_state.get(name) for name in FIELDS.values()):
            found = {name: value for name, value in found.items() if name in FIELDS.values()}
        return found


class ClientSettings(BaseSettings):
    """Addresses, token and CA of the services. Built by the CLI and by the clients' `from_settings`; frozen."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".burnish"), description="state folder of the embedded stack")
    curator_url: str | None = Field(default=None, description="http(s)://host:port of the curator")
    trainer_address: str | None = Field(
        default=None, description="host:port or grpc://host:port of the trainer, grpcs://host:port over TLS"
    )
    inference_url: str | None = Field(default=None, description="http(s)://host:port of the inference service")
    token: SecretStr | None = Field(default=None, description="bearer token of all three services")
    ca: Path | None = Field(
        default=None, description="PEM file of the authority that signed their certificates; unset: the system's"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSource(settings_cls)

    def address(self, service: Service) -> str:
        """The address of one service. Raises PreconditionError that says how to get one."""
        address: str | None = getattr(self, FIELDS[service])
        if address is None:
            raise PreconditionError(
                f"no {service} to talk to: {self._why_no_address(service)}, or set {VARIABLES[service]} (and BURNISH_TOKEN), "
                "or `burnish login`",
                service=service,
            )
        return address

    def secret_token(self) -> str:
        """The token as text. Raises PreconditionError that says how to get one."""
        if self.token is not None:
            return self.token.get_secret_value()
        named = " and ".join(VARIABLES[service] for service, name in FIELDS.items() if name in self._from_environment())
        file = find_endpoint_file(self.home)
        if named and "token" in file.values:
            raise PreconditionError(
                f"{named} is set but BURNISH_TOKEN is not: the token of {file.title} goes only to the addresses kept with it; "
                f"set BURNISH_TOKEN too, or unset {named}"
            )
        raise PreconditionError(
            f"no token: set BURNISH_TOKEN, or run `burnish up`, which writes one to {self.home / STATE_FILE}, or `burnish login`"
        )

    def source(self, service: Service) -> Literal["variable", "stack", "login", "none"]:
        """What named the service's address."""
        if getattr(self, FIELDS[service]) is None:
            return "none"
        return "variable" if FIELDS[service] in self._from_environment() else find_endpoint_file(self.home).kind

    def source_title(self, service: Service) -> str | None:
        """The same for people; None if nothing named the address."""
        source = self.source(service)
        if source == "none":
            return None
        return VARIABLES[service] if source == "variable" else find_endpoint_file(self.home).title

    def _from_environment(self) -> dict[str, Any]:
        return EnvSettingsSource(type(self))()

    def _why_no_address(self, service: Service) -> str:
        file = find_endpoint_file(self.home)
        if file.kind == "login":
            return f"{file.title} has none: `burnish login --{service} …`"
        if file.kind == "stack":
            return f"the stack in {self.home} was started without it: run `burnish up`"
        return f"{self.home / STATE_FILE} does not exist: run `burnish up`"
