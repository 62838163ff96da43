"""The report on a base model: what the trainer's and the inference service's own environments say of it, in one list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from burnish.errors import InternalError, PreconditionError, UnavailableError
from burnish.schemas.models import ModelCheck, ModelChecks

TRAINING, SERVING = "burnish_trainer.worker.base_check", "burnish_inference.engine.base_check"
LIMIT_SECONDS = 600  # importing vLLM takes a minute on a busy machine
TAIL_CHARACTERS = 800


def check(folder: Path, inference_python: Path) -> list[ModelCheck]:
    """Every check. PreconditionError if an environment is missing or says that the folder holds no model it can check."""
    return [*_ask(sys.executable, TRAINING, folder), *_ask(str(inference_python.absolute()), SERVING, folder)]


def refused(checks: Sequence[ModelCheck]) -> list[ModelCheck]:
    return [one for one in checks if one.state == "refused"]


def _ask(python: str, module: str, folder: Path) -> list[ModelCheck]:
    if not Path(python).is_file():
        raise PreconditionError(f"no Python at {python}, with which to check the model: run `make setup`")
    try:
        done = subprocess.run(
            [python, "-m", module, str(folder.resolve())],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(
            f"{module} did not end in {LIMIT_SECONDS} s: run the command again on a less busy machine"
        ) from error
    told = done.stderr.strip().rpartition("error: ")[2]
    if done.returncode == 1 and told != done.stderr.strip() and "Traceback" not in done.stderr:
        raise PreconditionError(told)
    if done.returncode:
        raise InternalError(
            f"{module} ended by itself with {done.returncode}; the end of what it said:\n{done.stderr[-TAIL_CHARACTERS:]}"
        )
    return ModelChecks.model_validate_json(done.stdout).checks
