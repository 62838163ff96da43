"""Where the three doors are: BURNISH_* variables first, else the stack.json that `burnish up` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from burnish.errors import CorruptDataError, PreconditionError

STATE_FILE = "stack.json"
Door = Literal["curator", "trainer", "inference"]
VARIABLES: dict[Door, str] = {
    "curator": "BURNISH_CURATOR_URL",
    "trainer": "BURNISH_TRAINER_ADDRESS",
    "inference": "BURNISH_INFERENCE_URL",
}


class StackFile(PydanticBaseSettingsSource):
    """Settings source: addresses and token of the embedded stack whose state folder is `home`."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        path = Path(self.current_state.get("home") or ".burnish") / STATE_FILE
        try:
            state = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError as error:
            raise CorruptDataError(
                f"{path} is not JSON ({error}): end the stack with `burnish down`, remove the file and run `burnish up`"
            ) from error
        names = ("curator_url", "trainer_address", "inference_url", "token")
        return {name: state[name] for name in names if state.get(name)}


class ClientSettings(BaseSettings):
    """Addresses and token of the services. Built by the CLI and by `*Client.from_settings`; frozen."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".burnish"), description="state folder of the embedded stack")
    curator_url: str | None = Field(default=None, description="http(s)://host:port of the curator")
    trainer_address: str | None = Field(default=None, description="host:port of the trainer (gRPC)")
    inference_url: str | None = Field(default=None, description="http(s)://host:port of the inference front")
    token: SecretStr | None = Field(default=None, description="bearer token of all three")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, StackFile(settings_cls)

    def endpoint(self, door: Door) -> str:
        """The address of one door. Raises PreconditionError that says how to get one."""
        address = {"curator": self.curator_url, "trainer": self.trainer_address, "inference": self.inference_url}[door]
        if address is None:
            raise PreconditionError(
                f"no {door} to talk to: {self._why_none(door)}, or set {VARIABLES[door]} (and BURNISH_TOKEN)", door=door
            )
        return address

    def secret_token(self) -> str:
        if self.token is None:
            raise PreconditionError(
                f"no token: set BURNISH_TOKEN, or run `burnish up`, which writes one to {self.home / STATE_FILE}"
            )
        return self.token.get_secret_value()

    def _why_none(self, door: Door) -> str:
        if (self.home / STATE_FILE).is_file():
            return f"the stack in {self.home} was started without it: run `burnish up`"
        return f"{self.home / STATE_FILE} does not exist: run `burnish up`"
