"""Where the three doors are and what opens them: BURNISH_* variables first, else one file, as places.py chooses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from burnish.errors import PreconditionError
from burnish_client.config import sources as places
from burnish_client.config.sources import ADDRESSES, STATE_FILE

Door = Literal["curator", "trainer", "inference"]
VARIABLES: dict[Door, str] = {
    "curator": "BURNISH_CURATOR_URL",
    "trainer": "BURNISH_TRAINER_ADDRESS",
    "inference": "BURNISH_INFERENCE_URL",
}
FIELDS: dict[Door, str] = {"curator": "curator_url", "trainer": "trainer_address", "inference": "inference_url"}


class FileSource(PydanticBaseSettingsSource):
    """Settings source: addresses, token and CA of the embedded stack whose state folder is `home`, or of the login.

    Where a variable (or an argument) names an address, the file's token and CA are left out: a token never goes to an
    address that it was not kept with.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = dict(places.chosen(Path(self.current_state.get("home") or ".burnish")).values)
        if any(self.current_state.get(name) for name in ADDRESSES):
            found = {name: value for name, value in found.items() if name in ADDRESSES}
        return found


class ClientSettings(BaseSettings):
    """Addresses, token and CA of the services. Built by the CLI and by `*Client.from_settings`; frozen."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".burnish"), description="state folder of the embedded stack")
    curator_url: str | None = Field(default=None, description="http(s)://host:port of the curator")
    trainer_address: str | None = Field(
        default=None, description="host:port or grpc://host:port of the trainer, grpcs://host:port over TLS"
    )
    inference_url: str | None = Field(default=None, description="http(s)://host:port of the inference front")
    token: SecretStr | None = Field(default=None, description="bearer token of all three")
    ca: Path | None = Field(
        default=None, description="PEM file of the authority that all three are trusted by; unset: the system's"
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

    def endpoint(self, door: Door) -> str:
        """The address of one door. Raises PreconditionError that says how to get one."""
        address: str | None = getattr(self, FIELDS[door])
        if address is None:
            raise PreconditionError(
                f"no {door} to talk to: {self._why_none(door)}, or set {VARIABLES[door]} (and BURNISH_TOKEN), or `burnish login`",
                door=door,
            )
        return address

    def secret_token(self) -> str:
        if self.token is None:
            raise PreconditionError(self._why_no_token())
        return self.token.get_secret_value()

    def kind(self, door: Door) -> Literal["variable", "stack", "login", "none"]:
        """What named the door's address."""
        if getattr(self, FIELDS[door]) is None:
            return "none"
        return "variable" if FIELDS[door] in self._from_environment() else places.chosen(self.home).kind

    def origin(self, door: Door) -> str | None:
        """The same for people; None where nothing named it."""
        kind = self.kind(door)
        if kind == "none":
            return None
        return VARIABLES[door] if kind == "variable" else places.chosen(self.home).title

    def _from_environment(self) -> dict[str, Any]:
        return EnvSettingsSource(type(self))()

    def _why_no_token(self) -> str:
        named = [VARIABLES[door] for door, field in FIELDS.items() if field in self._from_environment()]
        place = places.chosen(self.home)
        if named and "token" in place.values:
            return (
                f"{' and '.join(named)} is set but BURNISH_TOKEN is not: the token of {place.title} goes only to the addresses "
                f"kept with it; set BURNISH_TOKEN too, or unset {' and '.join(named)}"
            )
        return f"no token: set BURNISH_TOKEN, or run `burnish up`, which writes one to {self.home / STATE_FILE}, or `burnish login`"

    def _why_none(self, door: Door) -> str:
        place = places.chosen(self.home)
        if place.kind == "login":
            return f"{place.title} has none: `burnish login --{door} …`"
        if place.kind == "stack":
            return f"the stack in {self.home} was started without it: run `burnish up`"
        return f"{self.home / STATE_FILE} does not exist: run `burnish up`"
