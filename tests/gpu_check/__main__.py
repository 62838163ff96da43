"""`python -m gpu_check [--device cuda|cpu] [--shapes 135M 1.5B 7B] [--tokenizer FOLDER] [--out FILE] [--only CHECK …]`: a line each.

On a GPU a check runs in a process of its own, so that none sees what another left there; on a CPU `memory` does. Exit 1 if one failed; 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_check.models import SHAPES

ON_THE_SMALLEST = (
    "sft",
    "qlora",
    "dpo",
    "resume",
    "unsloth",
    "lease",
    "memory",
)  # the last one leaves a process no room
CHECK_SECONDS = 900
DEFAULT_TOKENIZER = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m-instruct"
Result = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=["135M", "1.5B", "7B"])
    parser.add_argument("--tokenizer", type=Path, default=DEFAULT_TOKENIZER)
    parser.add_argument("--out", type=Path, help="a file for all results as JSON")
    parser.add_argument("--only", nargs="+", choices=("estimate", *ON_THE_SMALLEST), default=[])
    options = parser.parse_args()
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the first GPU is the driver's first for torch too
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("gpu-check: torch sees no CUDA device", file=sys.stderr)
            return 2
        print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}", flush=True)
    results = []
    for result in run_all(options):
        results.append(result)
        print(json.dumps(result), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    failed = [f"{result['check']} ({result['shape']})" for result in results if "failed" in result]
    passed = f"{len(results) - len(failed)} of {len(results)} checks passed or were skipped with a reason"
    print(f"gpu-check: {passed}{'; failed: ' + ', '.join(failed) if failed else ''}")
    return 1 if failed else 0


def run_all(options: argparse.Namespace) -> Iterator[Result]:
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        for number, shape in enumerate(options.shapes):
            names = [
                name
                for name in ("estimate", *(ON_THE_SMALLEST if number == 0 else ()))
                if not options.only or name in options.only
            ]
            base = Path(work) / f"model-{shape}"
            making = [shape, str(options.tokenizer.resolve()), str(base), options.device]
            made = _run([sys.executable, "-m", "gpu_check.models", *making], CHECK_SECONDS) if names else []
            if made:
                yield {"check": "model", "shape": shape, **made[-1]}
                continue
            alone = names if options.device == "cuda" else [name for name in names if name == "memory"]
            together = [[name for name in names if name not in alone], *([name] for name in alone)]
            for some in filter(None, together):
                command = [sys.executable, "-m", "gpu_check.checks", options.device, shape, str(base), work, *some]
                for result in _run(command, CHECK_SECONDS * len(some)):
                    yield {"check": some[0], "shape": shape, **result}


def _run(command: Sequence[str], seconds: int) -> list[Result]:
    """The results that a process prints, and one more if it did not end as it should."""
    began = time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        printed, told = process.communicate(timeout=seconds)
        ended = f"exit code {process.returncode} after {time.monotonic() - began:.0f} s: {told.strip()[-1500:]}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the service that `lease` starts
        printed, _ = process.communicate()
        ended = f"it took longer than {seconds} s"
    results: list[Result] = [json.loads(line) for line in printed.splitlines() if line.startswith('{"check": ')]
    return results if process.returncode == 0 else [*results, {"failed": ended}]


if __name__ == "__main__":
    sys.exit(main())
