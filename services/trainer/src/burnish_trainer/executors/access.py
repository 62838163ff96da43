"""Who may be asked to train, and with which credential: from the environment, or from one file of secrets. Read once, at the start.

A credential travels in the environment of the hosted worker that needs it, and in nothing else: no argv, file, event, log or row.
That worker has an interpreter of its own, since the SDKs ask for other versions than the training stack (ADR 0021).
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from burnish.errors import PreconditionError
from burnish.schemas.training.hosted import PROVIDERS, VARIABLES, ProviderName
from burnish_trainer.executors import launch

PROBE_SECONDS = 60.0
PROBE = """
import sys
from importlib.util import find_spec
import burnish_trainer
def there(name):
    try: return find_spec(name) is not None
    except ModuleNotFoundError: return False
print(*filter(there, sys.argv[1:]))
"""


class ProviderAccess:
    """values: variable -> value, of the providers' variables alone. python: the interpreter that has the SDKs; None: this one."""

    def __init__(self, values: Mapping[str, str], python: Path | None = None) -> None:
        self._values = {name: value for name, value in values.items() if name in VARIABLES and value}
        self._python = str(python.absolute()) if python else sys.executable

    @classmethod
    def read(
        cls, secrets_file: Path | None, environment: Mapping[str, str] = os.environ, python: Path | None = None
    ) -> ProviderAccess:
        """The environment comes before the file. PreconditionError if the file cannot be read, or others may read it."""
        return cls({**(_read_file(secrets_file) if secrets_file else {}), **environment}, python)

    @property
    def command(self) -> list[str]:
        """Starts a hosted worker; the attempt's folder follows."""
        return [self._python, "-m", launch.HOSTED_MODULE]

    def of(self, provider: ProviderName) -> dict[str, str]:
        """Its variables. PreconditionError, which says what to set, if this trainer cannot use it."""
        declared = PROVIDERS[provider]
        for name in (declared.key, *declared.settings):
            if name not in self._values:
                what = "credential" if name == declared.key else name
                raise PreconditionError(
                    f"this trainer has no {what} for {provider}: set {name} for it, or in the file that "
                    "BURNISH_TRAINER_SECRETS_FILE names",
                    field="hosted.provider",
                )
        if urlsplit(self._values.get(declared.address, "")).username is not None:
            raise PreconditionError(
                f"{declared.address} has a credential in it, and addresses are shown: put it into {declared.key} alone",
                field="hosted.provider",
            )
        if declared.package not in self._packages:
            raise PreconditionError(
                f"this trainer has no SDK of {provider}: {self._python} -m pip install 'burnish-trainer[{provider}]', or set "
                "BURNISH_TRAINER_HOSTED_PYTHON to a Python that has it",
                field="hosted.provider",
            )
        return {name: self._values[name] for name in declared.variables if name in self._values}

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

    @cached_property
    def _packages(self) -> frozenset[str]:
        """The SDKs that the interpreter of hosted workers has, asked once. PreconditionError if it cannot run them at all."""
        command = [self._python, "-c", PROBE, *(declared.package for declared in PROVIDERS.values())]
        try:
            done = subprocess.run(
                command, env=launch.base_environment(), capture_output=True, text=True, timeout=PROBE_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreconditionError(f"BURNISH_TRAINER_HOSTED_PYTHON: {self._python} cannot be run: {error}") from error
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise PreconditionError(
                f"BURNISH_TRAINER_HOSTED_PYTHON: {self._python} cannot have a provider train ({said}): "
                f"{self._python} -m pip install burnish-trainer"
            )
        return frozenset(done.stdout.split())


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
