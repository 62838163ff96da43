"""`python -m gpu_check [--device cuda|cpu] [--shapes 135M 1.5B 7B] [--tokenizer FOLDER] [--out FILE]`: every check, a line each.

A check runs in a process of its own, so that none sees what another left on the GPU. Exit 1 if one failed; 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu_check.models import SHAPES

ON_THE_SMALLEST = ("sft", "qlora", "dpo", "resume", "memory", "unsloth")
CHECK_SECONDS = 600
DEFAULT_TOKENIZER = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m-instruct"


def run(name: str, device: str, shape: str, tokenizer: Path, work: Path) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "gpu_check.checks", name, device, shape, str(tokenizer), str(work)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS)
    except subprocess.TimeoutExpired:
        found: dict[str, Any] = {"failed": f"it took longer than {CHECK_SECONDS} s"}
    else:
        found = (
            json.loads(done.stdout.splitlines()[-1])
            if done.returncode == 0
            else {"failed": done.stderr.strip()[-1500:]}
        )
    return {"check": name, "shape": shape, "seconds": round(time.monotonic() - began, 1), **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=["135M", "1.5B", "7B"])
    parser.add_argument("--tokenizer", type=Path, default=DEFAULT_TOKENIZER)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("gpu-check: torch sees no CUDA device", file=sys.stderr)
            return 2
        print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}", flush=True)
    wanted = [(name, options.shapes[0]) for name in ON_THE_SMALLEST] + [("estimate", shape) for shape in options.shapes]
    results = []
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        for name, shape in wanted:
            if options.only and name not in options.only:
                continue
            results.append(run(name, options.device, shape, options.tokenizer.resolve(), Path(work)))
            print(json.dumps(results[-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    failed = [result["check"] for result in results if "failed" in result]
    print(
        f"gpu-check: {len(results) - len(failed)} of {len(results)} checks passed or were skipped with a reason{'; failed: ' + ', '.join(failed) if failed else ''}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
