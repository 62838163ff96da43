"""The preflight process: `python -m burnish_trainer.preflight.checker <base model folder>`. One JSON line in, one out.

Started and held by process.py. Standard output carries answers alone, the log goes to standard error. When standard input
closes, the trainer is gone and this process ends at once; if it is stopped, the kernel ends it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from burnish.errors import BurnishError, InternalError, ResourceExhaustedError
from burnish.telemetry import logs, tracing
from burnish_trainer.parent import end_with_parent

if TYPE_CHECKING:
    from burnish.schemas.training.job import JobSpec
    from burnish_trainer.preflight.types import CheckReport

log = logging.getLogger(__name__)

HIDDEN = ("torch", "tensorflow", "jax")


def main() -> None:
    end_with_parent()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    logs.configure(sys.stderr, ("urllib3", "httpx"))
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(requests,), name="requests", daemon=True).start()
    check = _load_checks(Path(sys.argv[1]))
    while True:
        answers.write(json.dumps(answer(requests.get(), check)).encode() + b"\n")
        answers.flush()


def answer(request: bytes, check: Callable[[JobSpec], CheckReport]) -> dict[str, Any]:
    """{"report": …} or {"error": …}; no memory is a ResourceExhaustedError, and an unknown exception is
    logged here and answered as an InternalError."""
    from burnish.schemas.training.job import JobSpec

    try:
        asked = json.loads(request)
        spec = JobSpec.model_validate(asked["spec"])
        with tracing.within(asked.get("traceparent")):
            return {"report": check(spec).model_dump(mode="json")}
    except BurnishError as error:
        return {"error": error.to_dict()}
    except MemoryError:
        limit = resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20
        too_much = ResourceExhaustedError(f"preflight needs more than {limit} MiB of memory: train on fewer rows")
        return {"error": too_much.to_dict()}
    except Exception as error:
        log.exception("preflight failed")
        defect = InternalError(f"preflight ended by an unexpected {type(error).__name__}; the trainer's log has it")
        return {"error": defect.to_dict()}


def _load_checks(folder: Path) -> Callable[[JobSpec], CheckReport]:
    """All that takes seconds to import and to load; by now this process ends with its parent."""
    sys.meta_path[:] = [_WithoutTorch if finder is PathFinder else finder for finder in sys.meta_path]
    from burnish.service.settings import S3Settings
    from burnish_trainer.preflight.base_model import load_base_model
    from burnish_trainer.preflight.examine import check

    store = S3Settings().open()  # type: ignore[call-arg]  # from the environment
    base = cache(partial(load_base_model, folder))
    with suppress(BurnishError):  # told with the first answer
        base()
    served_rank = ServedSettings().max_lora_rank
    return lambda spec: check(spec, base(), store, served_rank)


class ServedSettings(BaseSettings):
    """The inference server's setting, if the trainer runs in the same environment."""

    model_config = SettingsConfigDict(env_prefix="BURNISH_INFERENCE_", frozen=True)

    max_lora_rank: int | None = Field(default=None, ge=1, description="largest adapter rank that is served")


class _WithoutTorch(PathFinder):
    """The ordinary finder of modules, to which HIDDEN are not installed, so that tokenizers load without them.

    Without torch the process starts in a quarter of the time and a third of the memory. transformers 5.17 imports torch
    if it is installed, and has no switch for that (USE_TORCH is gone).
    """

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return None if fullname.partition(".")[0] in HIDDEN else PathFinder.find_spec(fullname, path, target)


def _read(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
