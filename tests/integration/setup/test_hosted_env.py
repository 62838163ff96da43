"""The environment of the process that speaks to providers: it has what its lock says, and main's environment does not change with it."""

from __future__ import annotations

import json
import subprocess
import tomllib

from hosted_python import REPOSITORY, find_hosted_python

VERSIONS = (
    "import json, sys; from importlib.metadata import version; print(json.dumps({n: version(n) for n in sys.argv[1:]}))"
)
CALLS = "import openai, together, fireworks, google.genai, google.cloud.storage, burnish_trainer.hosted.main, sys; print('torch' in sys.modules)"


def pins(lock: str) -> dict[str, str]:
    lines = (REPOSITORY / "requirements" / lock).read_text().splitlines()
    return dict(line.split()[0].split("==") for line in lines if "==" in line and not line.startswith("#"))


def ask(code: str, *arguments: str) -> str:
    command = [str(find_hosted_python()), "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_every_package_has_the_version_of_the_lock() -> None:
    wanted = pins("hosted.lock")
    assert json.loads(ask(VERSIONS, *wanted)) == wanted


def test_the_process_and_every_sdk_load_there_without_torch() -> None:
    assert ask(CALLS).strip() == "False"


def test_the_lock_has_the_sdks_that_the_trainers_extras_name() -> None:
    trainer = tomllib.loads((REPOSITORY / "services/trainer/pyproject.toml").read_text())
    wanted = [
        pin
        for extra in ("openai", "together", "fireworks", "vertex")
        for pin in trainer["project"]["optional-dependencies"][extra]
    ]
    assert {f"{name}=={version}" for name, version in pins("hosted.lock").items()} >= set(wanted)
