"""Resolve the lock of the process that speaks to providers, without installing it: requirements/hosted.lock. Run by scripts/lock.sh.

The SDKs are the trainer's extras of that name. They ask for versions that the training stack does not have, so they live in an
environment of their own; whatever they leave open is as main.lock has it.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any

from cuda_locks import REQUIREMENTS, complaints, resolve
from lock_hashes import with_hashes

ROOT = REQUIREMENTS.parent
PROVIDERS = ("openai", "together", "fireworks", "vertex")  # extras of the trainer
CORE = ("tracing", "services", "adapters")  # extras of core
OTHERWISE = ("certifi", "filelock", "rich", "tenacity")  # where the SDKs do not take main.lock's version
HEAD = "# Made by scripts/hosted_lock.py: what the process that speaks to providers needs, an environment beside the trainer's."


def project(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return found


def main() -> None:
    core, trainer = project("core"), project("services/trainer")["optional-dependencies"]
    needs = [*core["dependencies"], *(need for extra in CORE for need in core["optional-dependencies"][extra])]
    needs += [need for extra in PROVIDERS for need in trainer[extra]]
    main_lines = [line for line in (REQUIREMENTS / "main.lock").read_text().splitlines() if not line.startswith("#")]
    hashed = {line.split()[0].lower(): line for line in main_lines}
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pin for pin in hashed if pin.partition("==")[0] not in OTHERWISE))
        packages = resolve("-c", str(constraints), *needs)
    if wrong := complaints(packages):
        raise SystemExit("\n".join(wrong))
    pins = [f"{package['metadata']['name']}=={package['metadata']['version']}" for package in packages]
    lines = with_hashes(sorted((hashed.get(pin.lower(), pin) for pin in pins), key=str.lower))
    (REQUIREMENTS / "hosted.lock").write_text("\n".join([HEAD, *lines]) + "\n")


if __name__ == "__main__":
    main()
