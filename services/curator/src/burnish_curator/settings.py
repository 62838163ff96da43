"""Where things are, read from the environment. Built in main.py only."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.certificates import ServerCertificate
from burnish.objectstores.s3 import S3ObjectStore


class StoreSettings(BaseSettings):
    """The object store: BURNISH_S3_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_S3_", frozen=True, env_ignore_empty=True)

    endpoint: str = Field(description="host:port of the S3 endpoint, without scheme")
    access_key: str = Field(default="", description="access key id")
    secret_key: SecretStr = Field(default=SecretStr(""), description="secret access key")
    bucket: str = Field(default="burnish", description="bucket that holds every object of Burnish; made if missing")
    secure: bool = Field(default=False, description="https instead of http")
    region: str = Field(default="us-east-1", description="region that requests are signed for")
    ca: Path | None = Field(
        default=None,
        description="PEM file of the authority that the S3 server's certificate is trusted by; unset: the system's",
    )

    def open(self) -> S3ObjectStore:
        secret_key = self.secret_key.get_secret_value()
        return S3ObjectStore(self.endpoint, self.access_key, secret_key, self.bucket, self.secure, self.region, self.ca)


class CuratorSettings(BaseSettings):
    """The curator itself: BURNISH_CURATOR_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_CURATOR_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8081, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    database_url: str = Field(
        description="SQLAlchemy URL of the review state: sqlite:///FILE or postgresql+psycopg://…"
    )
    cache_dir: Path = Field(description="folder for run log parts and uploads under way; belongs to this process alone")
    tokenizer: Path | None = Field(
        default=None, description="folder of the base model, to count tokens; unset: lengths are counted in characters"
    )


class AccessSettings(BaseSettings):
    """What callers must show: BURNISH_TOKEN."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True)

    token: SecretStr = Field(
        default=SecretStr(""), description="bearer token that every call but /healthz and /readyz must carry"
    )


class TlsSettings(BaseSettings):
    """TLS of this service's endpoint: BURNISH_TLS_…; both or neither."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TLS_", frozen=True, env_ignore_empty=True)

    certificate: Path | None = Field(default=None, description="PEM file: the certificate, then those of its issuers")
    key: Path | None = Field(default=None, description="PEM file: the certificate's private key, without passphrase")

    def open(self) -> ServerCertificate | None:
        """None without TLS. Raises PreconditionError that names what is wrong with which file."""
        return ServerCertificate.from_settings(self.certificate, self.key)
