"""The front adds less than 5 ms to a request at the median, in the environment in which it runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LIMIT_MS = 5
ATTEMPTS = 3  # other work on the machine only ever adds to what is measured
TESTS = Path(__file__).resolve().parents[2]


def test_the_front_adds_less_than_5_ms_at_the_median(inference_python: Path):
    bench = [str(inference_python), str(TESTS / "bench/bench_proxy.py"), "--limit-ms", str(LIMIT_MS)]
    bench += ["--concurrency", "1", "4", "--requests", "60", "--runs", "3"]
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            bench, env=os.environ | {"PYTHONPATH": str(TESTS)}, capture_output=True, text=True, timeout=120
        )
        print(done.stdout)
        if done.returncode == 0:
            return
    raise AssertionError(f"{ATTEMPTS} times above {LIMIT_MS} ms:\n{done.stdout}{done.stderr[-2000:]}")
