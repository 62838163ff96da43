"""The compose stack as the client sees it: where docker-compose.yml publishes its doors, by the .env file beside it.

BURNISH_* variables win over the file, as they do for compose itself. Used by `burnish demo --target compose`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.errors import PreconditionError

ENV_FILE = Path(".env")
ANY_INTERFACE = ("0.0.0.0", "::")


class ComposeStack(BaseSettings):
    """Ports as docker-compose.yml publishes them; an explicit address wins over what they give."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True, extra="ignore", env_ignore_empty=True)

    token: SecretStr = Field(description="bearer token of all three doors")
    bind: str = Field(default="127.0.0.1", description="address on which the doors are published")
    curator_port: int = Field(default=8701, description="published port of the curator")
    trainer_port: int = Field(default=8702, description="published port of the trainer")
    inference_port: int = Field(default=8703, description="published port of the inference front")
    curator_url: str | None = Field(default=None, description="http(s)://host:port of the curator")
    trainer_address: str | None = Field(default=None, description="host:port of the trainer (gRPC)")
    inference_url: str | None = Field(default=None, description="http(s)://host:port of the inference front")

    @classmethod
    def read(cls, env_file: Path = ENV_FILE) -> Self:
        """From the environment and the file. PreconditionError where neither has a token."""
        try:
            return cls(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings' own argument
        except ValidationError as error:
            first = error.errors()[0]
            field = f"BURNISH_{'_'.join(str(part) for part in first['loc']).upper()}"
            raise PreconditionError(
                f"no compose stack to talk to: {field}, in the environment or in {env_file.resolve()}: {first['msg']}; "
                "run this where docker-compose.yml stands, after `make secrets` and `docker compose up --wait`"
            ) from error

    @property
    def curator(self) -> str:
        return self.curator_url or f"http://{self._host}:{self.curator_port}"

    @property
    def trainer(self) -> str:
        return self.trainer_address or f"{self._host}:{self.trainer_port}"

    @property
    def inference(self) -> str:
        return self.inference_url or f"http://{self._host}:{self.inference_port}"

    @property
    def _host(self) -> str:
        """A host that publishes on every interface answers on loopback too."""
        return "127.0.0.1" if self.bind in ANY_INTERFACE else self.bind
