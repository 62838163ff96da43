"""Who may be asked to train, and with which credential: from the environment, or from one file of secrets. Read once, at the start.

A credential travels in the environment of the hosted worker that needs it, and in nothing else: no argv, file, event, log or row.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from burnish.errors import PreconditionError
from burnish.schemas.hosted import PROVIDERS, VARIABLES, ProviderName


class ProviderAccess:
    """values: variable -> value, of the providers' variables alone."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value for name, value in values.items() if name in VARIABLES and value}

    @classmethod
    def read(cls, secrets_file: Path | None, environment: Mapping[str, str] = os.environ) -> ProviderAccess:
        """The environment comes before the file. PreconditionError if the file cannot be read, or others may read it."""
        return cls({**(_read_file(secrets_file) if secrets_file else {}), **environment})

    def of(self, provider: ProviderName) -> dict[str, str]:
        """Its variables. PreconditionError, which says what to set, if this trainer cannot use it."""
        declared = PROVIDERS[provider]
        if declared.key not in self._values:
            raise PreconditionError(
                f"this trainer has no credential for {provider}: set {declared.key} for it, or in the file that "
                "BURNISH_TRAINER_SECRETS_FILE names",
                field="hosted.provider",
            )
        if urlsplit(self._values.get(declared.address, "")).username is not None:
            raise PreconditionError(
                f"{declared.address} has a credential in it, and addresses are shown: put it into {declared.key} alone",
                field="hosted.provider",
            )
        if find_spec(declared.package) is None:
            raise PreconditionError(
                f"this trainer has no SDK of {provider}: pip install 'burnish-trainer[{provider}]'",
                field="hosted.provider",
            )
        return {name: self._values[name] for name in (declared.key, declared.address) if name in self._values}

    @property
    def usable(self) -> tuple[ProviderName, ...]:
        """The providers that it can use."""
        found: list[ProviderName] = []
        for provider in PROVIDERS:
            try:
                self.of(provider)
            except PreconditionError:
                continue
            found.append(provider)
        return tuple(found)


def _read_file(path: Path) -> dict[str, str]:
    """NAME=value a line; blank lines and lines that begin with # do not count."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PreconditionError(f"{path} holds credentials and others may read it: chmod 600 {path}")
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PreconditionError(f"BURNISH_TRAINER_SECRETS_FILE: {path} cannot be read: {error}") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or name.strip() not in VARIABLES:
            known = ", ".join(sorted(VARIABLES))
            raise PreconditionError(f"{path} line {number}: write NAME=value, with one of {known}")
        found[name.strip()] = value.strip()
    return found
