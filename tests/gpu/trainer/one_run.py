"""One training run in a process of its own, so that Unsloth patches nothing of another backend's run; its outcome as one JSON line.

Backend unsloth on a CPU: PEFT's under Unsloth's rewrite of TRL, since Unsloth loads no model there.

`python one_run.py <base model> <folder> <device> <method> <backend> <changes of the spec, JSON> [step to stop at, then resume]`
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]


def main() -> None:
    sys.path.insert(0, str(TESTS))
    base, folder, device, method, backend, changes = sys.argv[1:7]
    stop_at = int(sys.argv[7]) if len(sys.argv) > 7 else None
    if backend == "unsloth":
        import unsloth_first  # noqa: F401
    from integration.trainer.training.runs import Runner

    numbers = itertools.count()
    runner = Runner(
        Path(base), lambda: Path(folder) / f"job-{next(numbers)}", device="cuda" if device == "cuda" else "cpu"
    )
    backend = "peft" if device == "cpu" else backend
    run = getattr(runner, method)(backend=backend, stop_at=stop_at, **json.loads(changes))
    if stop_at:
        run = run.again()
    manifest = run.manifest()
    outcome = {
        "backend": manifest.backend,
        "train_loss": run.series("train_loss"),
        "validation_loss": run.series("validation_loss"),
        "shapes": {name: list(weight.shape) for name, weight in run.weights().items()},
        "config": run.config(),
        "peak_memory_bytes": manifest.training.peak_memory_bytes,
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
