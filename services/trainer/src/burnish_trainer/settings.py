"""Where things are, from the environment. Built in main.py and worker.py only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.objectstores.s3 import S3ObjectStore
from burnish_trainer.policy import EnginePolicy

Device = Literal["auto", "cpu", "cuda"]


class S3Settings(BaseSettings):
    """The object store, alike for every service."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_S3_", frozen=True)

    endpoint: str = Field(description="host:port of the S3 server")
    access_key: SecretStr = Field(description="access key id")
    secret_key: SecretStr = Field(description="secret access key")
    bucket: str = Field(default="burnish", description="bucket that holds everything")
    secure: bool = Field(default=False, description="true: TLS")
    region: str = Field(default="us-east-1", description="region the requests are signed for")

    def open(self) -> S3ObjectStore:
        return S3ObjectStore(
            self.endpoint,
            self.access_key.get_secret_value(),
            self.secret_key.get_secret_value(),
            self.bucket,
            self.secure,
            self.region,
        )

    def environment(self) -> dict[str, str]:
        """These settings as the environment of a worker process."""
        return {
            "BURNISH_S3_ENDPOINT": self.endpoint,
            "BURNISH_S3_ACCESS_KEY": self.access_key.get_secret_value(),
            "BURNISH_S3_SECRET_KEY": self.secret_key.get_secret_value(),
            "BURNISH_S3_BUCKET": self.bucket,
            "BURNISH_S3_SECURE": str(self.secure).lower(),
            "BURNISH_S3_REGION": self.region,
        }


class TokenSettings(BaseSettings):
    """The token that callers must send."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True)

    token: SecretStr = Field(min_length=1, description="bearer token of every call but health checks")


class TrainerSettings(BaseSettings):
    """The trainer's own."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TRAINER_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8702, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    database_url: str = Field(
        default="sqlite:///trainer.db", description="SQLAlchemy URL of the queue: sqlite:///… or postgresql+psycopg://…"
    )
    work_dir: Path = Field(default=Path("trainer"), description="folder of this trainer alone: job folders, logs")
    base_model: Path = Field(description="folder of the base model, with its burnish-model.json")
    device: Device = Field(default="auto", description="auto: CUDA where there is any, else the CPU")
    workers: int = Field(default=1, ge=1, le=64, description="jobs trained at one time")
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="worker starts without a new checkpoint before a job has failed"
    )
    retry_delay_seconds: float = Field(
        default=2.0, ge=0, description="seconds before the second attempt; doubles with each further one"
    )
    cancel_grace_seconds: float = Field(
        default=5.0, ge=0, le=8, description="seconds a cancelled worker has between SIGTERM and SIGKILL"
    )
    stop_grace_seconds: float = Field(
        default=60.0, ge=0, description="seconds a worker has to reach a step boundary and save when the trainer stops"
    )
    lease_seconds: float = Field(
        default=30.0,
        ge=1,
        description="seconds after which a silent trainer's jobs go to another trainer on one database",
    )
    keep_checkpoints: bool = Field(default=False, description="keep a job's checkpoints after it has its adapter")

    def policy(self) -> EnginePolicy:
        return EnginePolicy(
            workers=self.workers,
            max_attempts=self.max_attempts,
            retry_delay_seconds=self.retry_delay_seconds,
            cancel_grace_seconds=self.cancel_grace_seconds,
            stop_grace_seconds=self.stop_grace_seconds,
            lease_seconds=self.lease_seconds,
            keep_checkpoints=self.keep_checkpoints,
        )
