"""The trainer's own settings, from the environment. Built in main.py and worker/main.py only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.schemas.device import MAX_TTL_SECONDS
from burnish_trainer.artifacts.checkpoint_models import Keep

Device = Literal["auto", "cpu", "cuda"]
Tracker = Literal["mlflow", "wandb", "trackio"]


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


class HostedSettings(BaseSettings):
    """How hosted jobs are followed. Read by the server, so that a wrong value is refused at its start, and by hosted workers."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TRAINER_HOSTED_", frozen=True)

    poll_seconds: float = Field(
        default=5.0,
        gt=0,
        description="seconds between the first two looks at a provider's job; half as much longer each time",
    )
    longest_poll_seconds: float = Field(default=60.0, gt=0, description="seconds between two looks at most")
    settle_seconds: float = Field(
        default=10.0, ge=0, description="seconds after which a provider's list has what it was asked to make"
    )
    jobs: int = Field(default=4, ge=1, le=64, description="hosted jobs that are followed at one time")
    python: Path | None = Field(
        default=None,
        description="Python of the environment that has the providers' SDKs ([hosted.md](hosted.md)); unset: the trainer's own",
    )


class TrainerSettings(ReportSettings):
    """The trainer's own."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TRAINER_", frozen=True, env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8702, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    database_url: str = Field(
        default="sqlite:///trainer.db", description="SQLAlchemy URL of the queue: sqlite:///… or postgresql+psycopg://…"
    )
    work_dir: Path = Field(default=Path("trainer"), description="folder of this trainer alone: job folders, logs")
    base_model: Path = Field(description="folder of the base model, with its burnish-model.json")
    device: Device = Field(default="auto", description="auto: CUDA if there is any, else the CPU")
    gpu_lock_dir: Path = Field(
        default=Path("/tmp/burnish-gpus"),
        description="folder that all trainers of this host share, in which each locks its GPUs; one that another has is left to it",
    )
    workers: int = Field(default=1, ge=1, le=64, description="jobs trained at one time on each device")
    warm_workers: int = Field(
        default=1,
        ge=0,
        le=1,
        description="1: a spare worker waits with its libraries loaded (0.5 GB), so that a job starts at once; with GPUs "
        "only with those that take none",
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
    step_timeout_seconds: float = Field(
        default=600.0,
        ge=5,
        description="seconds without a step, a batch of an evaluation or one of a reference pass after which a worker is "
        "killed and replaced; a job whose steps are estimated to be long has ten times a step's estimate",
    )
    phase_timeout_seconds: float = Field(
        default=1800.0,
        ge=5,
        description="the same for each phase that is no row of steps: starting, loading the model, the first step (it may "
        "compile), saving and publishing",
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
    inference_url: str = Field(
        default="",
        description="URL of the inference service that may have this trainer's devices, and lends them; unset: nobody is asked",
    )
    inference_ca: Path | None = Field(
        default=None,
        description="PEM file of the authority that its certificate is trusted by; unset: the system's",
    )
    device_lease_seconds: float = Field(
        default=120.0,
        ge=10,
        le=MAX_TTL_SECONDS,
        description="seconds after which serving takes a device back from a trainer that is silent",
    )
    secrets_file: Path | None = Field(
        default=None,
        description="file of the providers' credentials, NAME=value a line, that only its owner may read; the environment comes first",
    )
    prices: Path | None = Field(
        default=None,
        description="JSON file of what providers charge, which comes before the shipped prices; docs/hosted.md has its form",
    )
    keep_checkpoints: Keep = Field(
        default="all",
        description="checkpoints that stay, as weights alone, once a job has succeeded or was cancelled: all, best (by validation loss) or none",
    )
