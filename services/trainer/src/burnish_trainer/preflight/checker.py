"""The preflight process: `python -m burnish_trainer.preflight.checker <base model folder>`. One JSON line in, one out.

Started and held by process.py. Standard output carries answers alone, the log goes to standard error. When standard input
closes, the trainer is gone and this process ends at once.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from burnish.errors import BurnishError, InternalError
from burnish.telemetry import logs, tracing
from burnish_trainer.preflight.lean import hide_model_libraries

if TYPE_CHECKING:
    from burnish.schemas.job import JobSpec
    from burnish_trainer.preflight.types import Preparation

log = logging.getLogger(__name__)


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    logs.configure(sys.stderr, ("urllib3", "httpx"))
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(requests,), name="requests", daemon=True).start()
    prepare = _checks(Path(sys.argv[1]))
    while True:
        answers.write(json.dumps(answer(requests.get(), prepare)).encode() + b"\n")
        answers.flush()


def answer(request: bytes, prepare: Callable[[JobSpec], Preparation]) -> dict[str, Any]:
    """{"preparation": …} or {"error": …}; an unknown exception is logged here and told as an InternalError."""
    from burnish.schemas.job import JobSpec

    try:
        asked = json.loads(request)
        spec = JobSpec.model_validate(asked["spec"])
        with tracing.within(asked.get("traceparent")):
            return {"preparation": prepare(spec).model_dump(mode="json")}
    except BurnishError as error:
        return {"error": error.to_dict()}
    except Exception as error:
        log.exception("preflight failed")
        defect = InternalError(f"preflight ended by an unexpected {type(error).__name__}; the trainer's log has it")
        return {"error": defect.to_dict()}


def _checks(folder: Path) -> Callable[[JobSpec], Preparation]:
    """All that takes seconds to import and to load; by now this process ends with its parent."""
    hide_model_libraries()
    from burnish_trainer.preflight.base import load_base
    from burnish_trainer.preflight.examine import prepare
    from burnish_trainer.preflight.settings import ServedSettings
    from burnish_trainer.settings import S3Settings

    store = S3Settings().open()  # type: ignore[call-arg]  # from the environment
    base = cache(partial(load_base, folder))
    with suppress(BurnishError):  # told with the first answer
        base()
    served_rank = ServedSettings().max_lora_rank
    return lambda spec: prepare(spec, base(), store, served_rank)


def _read(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
