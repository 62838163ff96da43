"""How long a reviewer waits for the next item and for a save in a large run log. Bars: 100 ms and 50 ms (medians).

python tests/bench/bench_review.py --lines 500000      (real curator process, real SeaweedFS; about three minutes)
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bench_runlog
import httpx
from integration.curator.process import start_curator

NEXT_BAR_MS, SAVE_BAR_MS = 100.0, 50.0
SCRIPT = {"Accept": "application/json"}
LABELS = [("not-json", 0.4), ("wrong-field", 0.3), ("missing-parameter", 0.2), ("wrong-file", 0.05)]


def timed(call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    """Milliseconds, and the answer."""
    started = time.perf_counter()
    answer = call()
    answer.raise_for_status()
    return (time.perf_counter() - started) * 1000, answer


def show(what: str, values: list[float], bar: float | None = None) -> bool:
    """Print median and 95th percentile; whether the median meets the bar."""
    beside = f"   bar {bar:.0f} ms" if bar else ""
    print(f"{what:44} {median(values):8.1f} ms   95 % {quantiles(values, n=20)[-1]:8.1f} ms{beside}", flush=True)
    return bar is None or median(values) <= bar


def rounds(client: httpx.Client, page: str, api: str, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of `count` next items and of as many saves."""
    nexts, saves, after = [], [], ""
    for number in range(count):
        spent, answer = timed(lambda: client.get(page, params={"after": after}, headers=SCRIPT))  # noqa: B023
        nexts.append(spent)
        body = answer.json()["html"]
        question_id = re.findall(r'data-question="([^"]+)"', body)[0]
        version = re.findall(r'name="version" value="(\d+)"', body)[0]
        decision: dict[str, Any] = {"question_id": question_id, "version": int(version), "author": "bench"}
        decision |= {"state": "corrected", "output": f"right answer {number}"}
        spent, _ = timed(lambda: client.post(f"{api}/decisions", json=decision))  # noqa: B023
        saves.append(spent)
        after = question_id
    return nexts, saves


def measure(client: httpx.Client, token: str, run_log_id: str, count: int) -> bool:
    page, api = f"/review/{run_log_id}", f"/v1/runlogs/{run_log_id}/review"
    form = {"token": token, "next": page, "reviewer": "bench"}
    client.post("/review/sign-in", data=form, follow_redirects=False)
    first, answer = timed(lambda: client.get(page, headers=SCRIPT))
    body = answer.json()["html"]
    form_token = re.findall(r'name="form_token" value="([^"]+)"', body)[0]
    total = re.findall(r'id="total">([^<]+)<', body)[0]
    print(f"{total} questions to review; the first page, which opens the run log: {first / 1000:.1f} s", flush=True)
    rounds(client, page, api, 5)
    nexts, saves = rounds(client, page, api, count)
    good = [show("next item", nexts, NEXT_BAR_MS), show("save", saves, SAVE_BAR_MS)]
    fields = {"form_token": form_token, "reason": "4"}
    bulk = f"{page}/bulk?label=wrong-field"
    spent, answer = timed(lambda: client.post(bulk, data=fields))
    proof = re.findall(r'name="token" value="(\w+)"', answer.text)[0]
    show("preview of a bulk decision", [spent] * 2)
    started = time.perf_counter()
    client.post(bulk, data=fields | {"token": proof}, follow_redirects=False)
    print(f"bulk decision: {time.perf_counter() - started:.1f} s", flush=True)
    nexts, saves = rounds(client, page, api, count)
    good += [
        show("next item, with a third decided", nexts, NEXT_BAR_MS),
        show("save, with a third decided", saves, SAVE_BAR_MS),
    ]
    spent, _ = timed(lambda: client.get("/review"))
    show("overview", [spent, timed(lambda: client.get("/review"))[0]])
    return all(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=100)
    options = parser.parse_args()
    bench_runlog.QUESTIONS_PER_RUN = options.lines // 2
    bench_runlog.LABELS[:] = LABELS
    with tempfile.TemporaryDirectory(prefix="bench-review-") as name, bench_runlog.seaweed(Path(name) / "weed") as s3:
        log = Path(name) / "log.jsonl"
        bench_runlog.write_log(log, options.lines)
        curator = start_curator(Path(name) / "curator", s3)
        try:
            with curator.client() as client:
                content = bench_runlog.chunks(log)
                answer = client.post(
                    "/v1/runlogs", params={"name": "bench"}, content=content, timeout=900
                ).raise_for_status()
                token = client.headers["Authorization"].removeprefix("Bearer ")
                good = measure(client, token, answer.json()["manifest"]["id"], options.items)
        finally:
            curator.stop()
    sys.exit(0 if good else "a bar is missed")


if __name__ == "__main__":
    main()
