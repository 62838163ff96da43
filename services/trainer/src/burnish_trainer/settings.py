"""Where things are, from the environment. Built in main.py and worker.py only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.certificates import ServerCertificate
from burnish.objectstores.s3 import S3ObjectStore
from burnish_trainer.artifacts.checkpoint_models import Keep

Device = Literal["auto", "cpu", "cuda"]
Tracker = Literal["mlflow", "wandb", "trackio"]


class S3Settings(BaseSettings):
    """The object store, alike for every service."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_S3_", frozen=True, env_ignore_empty=True)

    endpoint: str = Field(description="host:port of the S3 server")
    access_key: SecretStr = Field(default=SecretStr(""), description="access key id")
    secret_key: SecretStr = Field(default=SecretStr(""), description="secret access key")
    bucket: str = Field(default="burnish", description="bucket that holds everything")
    secure: bool = Field(default=False, description="true: TLS")
    region: str = Field(default="us-east-1", description="region the requests are signed for")
    ca: Path | None = Field(
        default=None,
        description="PEM file of the authority that the S3 server's certificate is trusted by; unset: the system's",
    )

    def open(self) -> S3ObjectStore:
        return S3ObjectStore(
            self.endpoint,
            self.access_key.get_secret_value(),
            self.secret_key.get_secret_value(),
            self.bucket,
            self.secure,
            self.region,
            self.ca,
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
            "BURNISH_S3_CA": str(self.ca.absolute()) if self.ca else "",
        }


class TokenSettings(BaseSettings):
    """The token that callers must send."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True)

    token: SecretStr = Field(default=SecretStr(""), description="bearer token of every call but health checks")


class TlsSettings(BaseSettings):
    """TLS of this service's endpoints: BURNISH_TLS_…; both or neither."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TLS_", frozen=True, env_ignore_empty=True)

    certificate: Path | None = Field(default=None, description="PEM file: the certificate, then those of its issuers")
    key: Path | None = Field(default=None, description="PEM file: the certificate's private key, without passphrase")

    def open(self) -> ServerCertificate | None:
        """None without TLS. Raises PreconditionError that names what is wrong with which file."""
        return ServerCertificate.from_settings(self.certificate, self.key)


class ReportSettings(BaseSettings):
    """Trackers that runs report to. Read by the server, so that a wrong name is refused at its start, and by workers.

    The trackers' own variables (MLFLOW_TRACKING_URI, WANDB_MODE, TRACKIO_DIR, …) reach the workers as they are.
    """

    model_config = SettingsConfigDict(env_prefix="BURNISH_TRAINER_", frozen=True)

    report_to: str = Field(default="", description="trackers that runs report to, with commas: mlflow, wandb, trackio")
    report_project: str = Field(default="burnish", min_length=1, description="project or experiment of reported runs")

    @field_validator("report_to")
    @classmethod
    def known(cls, value: str) -> str:
        unknown = set(_names(value)) - set(get_args(Tracker))
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: runs report to {', '.join(get_args(Tracker))} only")
        return value

    @property
    def trackers(self) -> tuple[Tracker, ...]:
        return tuple(cast(Tracker, name) for name in _names(self.report_to))


def _names(value: str) -> list[str]:
    """Comma list, without blanks and repetitions."""
    return list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


class TrainerSettings(ReportSettings):
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
    workers: int = Field(default=1, ge=1, le=64, description="jobs trained at one time on each device")
    warm_workers: int = Field(
        default=1,
        ge=0,
        le=1,
        description="1: a spare worker waits with its libraries loaded (0.6 GB), so that a job starts at once",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="worker starts without a new checkpoint before a job has failed"
    )
    max_total_attempts: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="worker starts in all, and failures one after the other for outages, before a job has failed",
    )
    retry_delay_seconds: float = Field(
        default=2.0, ge=0, description="seconds before the second attempt; doubles with each further one"
    )
    retry_delay_max_seconds: float = Field(default=300.0, ge=0, description="seconds between attempts at most")
    heartbeat_timeout_seconds: float = Field(
        default=120.0, ge=5, description="seconds without a sign of life after which a worker is killed and replaced"
    )
    cancel_grace_seconds: float = Field(
        default=5.0, ge=0, le=8, description="seconds a cancelled worker has between SIGTERM and SIGKILL"
    )
    stop_grace_seconds: float = Field(
        default=60.0, ge=0, description="seconds a worker has to reach a step boundary and save when the trainer stops"
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port of GET /metrics over HTTP, on the same host; 0 picks a free one, unset serves none",
    )
    lease_seconds: float = Field(
        default=30.0,
        ge=1,
        description="seconds after which a silent trainer's jobs go to another trainer on one database",
    )
    keep_checkpoints: Keep = Field(
        default="all",
        description="checkpoints that stay, as weights alone, once a job has succeeded or was cancelled: all, best (by validation loss) or none",
    )
