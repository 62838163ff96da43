"""The settings that every service has, from the environment: object store, token, TLS. Built in a service's main.py, and by its workers.

Needs pydantic-settings (the extra `services`), so nothing else of core imports it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.objectstores.s3 import S3ObjectStore
from burnish.service.certificates import ServerCertificate


class S3Settings(BaseSettings):
    """The object store: BURNISH_S3_…"""

    model_config = SettingsConfigDict(env_prefix="BURNISH_S3_", frozen=True, env_ignore_empty=True)

    endpoint: str = Field(description="host:port of the S3 server, without scheme")
    access_key: SecretStr = Field(default=SecretStr(""), description="access key id")
    secret_key: SecretStr = Field(default=SecretStr(""), description="secret access key")
    bucket: str = Field(default="burnish", description="bucket that holds everything")
    secure: bool = Field(default=False, description="https instead of http")
    region: str = Field(default="us-east-1", description="region that requests are signed for")
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
        """These settings as the environment of another process, which may have another working folder."""
        values = self.model_dump() | {"ca": self.ca.absolute() if self.ca else ""}
        prefix = self.model_config["env_prefix"]
        return {
            f"{prefix}{name}".upper(): value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
        }


class TokenSettings(BaseSettings):
    """What callers must show: BURNISH_TOKEN."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_", frozen=True)

    token: SecretStr = Field(default=SecretStr(""), description="bearer token of every call but health checks")


class TlsSettings(BaseSettings):
    """TLS of the service's endpoint: BURNISH_TLS_…; both or neither."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_TLS_", frozen=True, env_ignore_empty=True)

    certificate: Path | None = Field(default=None, description="PEM file: the certificate, then those of its issuers")
    key: Path | None = Field(default=None, description="PEM file: the certificate's private key, without passphrase")

    def open(self) -> ServerCertificate | None:
        """None without TLS. Raises PreconditionError that names what is wrong with which file."""
        return ServerCertificate.from_settings(self.certificate, self.key)
