"""`make chaos-lease`: SIGKILL of trainer, worker, inference service and vLLM at each phase of the lease, a job each.

Prints a line a case: seconds from the kill until the job has ended whole and the card is back, and what callers got meanwhile.
All jobs are alike, so their adapters must be equal bit for bit. Exit code 1 if anything is lost, or held twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from integration.trainer.trainer_process import until
from unit.trainer.made import put_dataset, sft_rows, tiny_model

from burnish.testing.seaweed import running_seaweed
from lending.stack import STEPS, Lending
from lending.traffic import Traffic

SMOLLM = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m-instruct"
VICTIMS = {
    "draining": ("trainer", "inference", "vllm"),
    "sleeping": ("trainer", "inference", "vllm"),
    "asleep": ("trainer", "worker", "inference", "vllm"),
    "waking": ("trainer", "inference", "vllm"),
}
LEASE_SECONDS = 10.0  # the least that the trainer takes
ATTEMPTS = 5  # a phase may be over before it is seen
SEEN_SECONDS = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(VICTIMS), default=list(VICTIMS), help="these phases")
    cases = [(phase, victim) for phase in parser.parse_args().only for victim in VICTIMS[phase]]
    began, wrong, versions, outcomes = time.monotonic(), [], set(), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="burnish-lease-") as name, running_seaweed(Path(name) / "s3") as seaweed:
        folder, store = Path(name), seaweed.store("lease")
        store.ensure_bucket()
        environment = {
            "BURNISH_S3_ENDPOINT": seaweed.endpoint,
            "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
            "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
            "BURNISH_S3_BUCKET": store.bucket,
        }
        base = tiny_model(Path(os.environ.get("BURNISH_BASE_MODEL", SMOLLM)), folder / "tiny")
        dataset = put_dataset(store, sft_rows(18), sft_rows(4, "v"))
        with Lending(folder / "run", base, dataset, environment, LEASE_SECONDS) as lending, Traffic(lending) as traffic:
            for phase, victim in [("", ""), *cases]:
                before = traffic.outcomes.copy()
                seconds, version = _case(lending, phase, victim)
                versions.add(version)
                told = ", ".join(f"{count} {what}" for what, count in (traffic.outcomes - before).items())
                print(f"{phase or 'nobody':9} {victim:9} {seconds:6.1f} s; callers: {told}", flush=True)
        wrong, outcomes = traffic.wrong, traffic.outcomes
    print(f"{len(cases)} kills in {time.monotonic() - began:.0f} s, {len(versions)} adapter; callers: {dict(outcomes)}")
    for what, count in Counter(wrong).items():
        print(f"WRONG, {count} times: {what}")
    return 1 if wrong or len(versions) != 1 else 0


def _case(lending: Lending, phase: str, victim: str) -> tuple[float, str]:
    """One job with one kill; seconds from the kill on, and the adapter's version."""
    for _ in range(ATTEMPTS):
        job_id = lending.create()
        if phase == "asleep":
            lending.reaches_step(job_id, STEPS // 4)
        if not phase or _is_seen(lending, job_id, phase):
            break
        lending.require_whole(job_id)
    else:
        raise TimeoutError(f"{phase} was over {ATTEMPTS} times before it was seen")
    began = time.monotonic()
    if victim:
        lending.kill(victim)
    version = lending.require_whole(job_id)
    return time.monotonic() - began, version


def _is_seen(lending: Lending, job_id: str, phase: str) -> bool:
    """Waits for the phase; False if the job has ended and the card is back without it."""

    def seen() -> str:
        now = lending.service.phase
        over = (
            now == "serving" and lending.trainer.worker_pids() == [] and lending.calls.get(job_id).HasField("adapter")
        )
        return "over" if over and now != phase else now if now == phase else ""

    return bool(until(seen, SEEN_SECONDS) == phase)


if __name__ == "__main__":
    sys.exit(main())
