"""What `burnish up` takes from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.errors import PreconditionError
from burnish.schemas.models import RECORD
from burnish.service import credentials
from burnish.service.certificates import ServerCertificate, read_authorities

BASE_MODEL = "smollm2-135m-instruct"


def repository_root() -> Path:
    """The checkout that this package is installed from; without one, the working directory."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "client" / "pyproject.toml").is_file() else Path.cwd()


class StackSettings(BaseSettings):
    """Settings of the embedded stack. The parts' own BURNISH_* settings are passed on to them."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path(".burnish"), description="state folder: stack.json, data/, logs/")
    base_model: Path = Field(
        default_factory=lambda: repository_root() / ".cache" / "models" / BASE_MODEL,
        description="folder of the base model, as `make setup` makes it",
    )
    inference_python: Path = Field(
        default_factory=lambda: repository_root() / ".venv-inference" / "bin" / "python",
        description="Python of the environment that has vLLM",
    )
    trainer_hosted_python: Path = Field(
        default_factory=lambda: repository_root() / ".venv-hosted" / "bin" / "python",
        description="Python of the environment that has the providers' SDKs, for the trainer; not there: the trainer's own",
    )
    token: SecretStr | None = Field(
        default=None, description="token of all services; unset: random, kept with the home"
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file: certificate of curator, trainer and inference"
    )
    tls_key: Path | None = Field(default=None, description="PEM file: its private key")
    ca: Path | None = Field(default=None, description="PEM file: authority that clients of this stack trust")

    def check(self, *, with_inference: bool) -> None:
        """Raise PreconditionError if set-up is not done, or if the parts would refuse a credential or certificate."""
        if self.token is not None:
            credentials.check("BURNISH_TOKEN", self.token.get_secret_value())
        ServerCertificate.from_settings(self.tls_certificate, self.tls_key)
        if self.ca is not None:
            read_authorities("BURNISH_CA", self.ca)
        if not (self.base_model / RECORD).is_file():
            raise PreconditionError(
                f"no base model in {self.base_model} ({RECORD} is missing): run `make setup`, "
                "or add a model of your own, `burnish model add FOLDER`, and start on it, `burnish up --model NAME`"
            )
        if with_inference and not self.inference_python.is_file():
            raise PreconditionError(
                f"no Python with vLLM at {self.inference_python}: run `make setup`, set BURNISH_INFERENCE_PYTHON, "
                "or start without serving: `burnish up --without inference`"
            )
