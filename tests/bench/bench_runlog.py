"""How fast and how small the curator takes a large run log in, beside a plain json.loads loop over the same file.

python tests/bench/bench_runlog.py --lines 500000      (real curator process, real SeaweedFS; about two minutes)
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from integration.curator.process import CuratorProcess, start_curator

from burnish.objectstores import seaweedfs
from burnish.objectstores.s3 import S3ObjectStore

ACCESS = ("bench-access-key", "bench-secret-key")
BUCKET = "bench"
QUESTIONS_PER_RUN = 5000
LABELS = [("not-json", 0.12), ("wrong-field", 0.06), ("missing-parameter", 0.03), ("wrong-file", 0.01)]
WORDS = (  # noqa: SIM905  # prose reads better than sixty quoted words
    "module function returns a list of the symbols which each parser reads from its buffer when the caller passes an "
    "iterator and raises ValueError if the encoding of that stream is not known to the codec registry because default "
    "handlers close files on exit while threads wait for the lock that guards the cache and its entries expire"
).split()


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of one run. import_and_diagnose is what a user waits for; the later questions come after it."""

    lines: int
    size_bytes: int
    json_loads_seconds: float
    import_seconds: float
    diagnose_seconds: float
    diagnose_again_seconds: float
    rows_of_label_seconds: float
    manifest_seconds: float
    peak_memory_bytes: int

    @property
    def import_and_diagnose_seconds(self) -> float:
        return self.import_seconds + self.diagnose_seconds


def write_log(path: Path, lines: int, seed: int = 7) -> None:
    """A run log of about 1 KB a line: runs over the same questions, some of which keep failing the same way."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as log:
        for number in range(lines):
            log.write(json.dumps(_line(draw, number), ensure_ascii=False) + "\n")


def _line(draw: random.Random, number: int) -> dict[str, object]:
    question, run = number % QUESTIONS_PER_RUN, number // QUESTIONS_PER_RUN
    label = _label(question)
    failed = label is not None and draw.random() < 0.9
    return {
        "question_id": f"stdlib-{question:05d}",
        "question": f"Which file defines `{draw.choice(WORDS)}_{question}`? {_text(draw, 12)}?",
        "system_prompt": "You are a code assistant. Answer with a JSON object that has the fields file and symbol.",
        "evidence_text": f'def {draw.choice(WORDS)}_{question}(self):\n    """{_text(draw, 80)}."""',
        "evidence_files": [f"Lib/{draw.choice(WORDS)}.py", f"Lib/{draw.choice(WORDS)}/_impl.py"],
        "answer": _text(draw, 18) if failed else json.dumps({"file": "Lib/a.py", "symbol": f"f{question}"}),
        "retrieval_hit": draw.random() < 0.97,
        "grade": "wrong" if failed else "correct",
        "failure_label": label if failed else None,
        "run_id": f"run-{run:04d}",
        "expected_answer": json.dumps({"file": "Lib/a.py", "symbol": f"f{question}"}),
        "slice": ("locate", "signature", "raises", "explain")[question % 4],
        "model": "smollm2-135m-instruct",
        "timestamp": f"2026-11-{1 + run % 28:02d}T08:{number % 60:02d}:00Z",
        "latency_ms": round(draw.uniform(80, 900), 1),
        "tenant": f"team-{question % 9}",
    }


def _label(question: int) -> str | None:
    place, upper = (question * 2654435761 % 1000) / 1000, 0.0
    for label, share in LABELS:
        upper += share
        if place < upper:
            return label
    return None


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def time_json_loads(path: Path) -> float:
    """The scan alone, one core, with the standard library: what any loader in plain Python pays at least."""
    started = time.perf_counter()
    with path.open("rb") as log:
        for line in log:
            json.loads(line)
    return time.perf_counter() - started


def measure(path: Path, lines: int, curator: CuratorProcess) -> Measured:
    """Import and question the log over HTTP; the baseline runs first, on the then idle machine."""
    baseline = time_json_loads(path)
    with curator.client() as client:
        started = time.perf_counter()
        answer = client.post("/v1/runlogs", params={"name": "bench"}, content=chunks(path))
        imported = time.perf_counter() - started
        answer.raise_for_status()
        manifest = answer.json()["manifest"]
        if manifest["accepted"] != lines:
            raise RuntimeError(
                f"{manifest['accepted']} of {lines} lines were accepted: {manifest['rejected_lines'][:3]}"
            )
        address = f"/v1/runlogs/{manifest['id']}"

        def ask(path: str, **params: str | int) -> float:
            started = time.perf_counter()
            client.get(path, params=params).raise_for_status()
            return time.perf_counter() - started

        return Measured(
            lines=lines,
            size_bytes=path.stat().st_size,
            json_loads_seconds=baseline,
            import_seconds=imported,
            diagnose_seconds=ask(f"{address}/diagnosis"),
            diagnose_again_seconds=ask(f"{address}/diagnosis"),
            rows_of_label_seconds=ask(f"{address}/rows", label="wrong-field", offset=1000, limit=100),
            manifest_seconds=ask(address),
            peak_memory_bytes=curator.peak_memory_bytes(),
        )


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as log:
        while chunk := log.read(256 * 1024):
            yield chunk


@contextmanager
def seaweed(folder: Path) -> Iterator[dict[str, str]]:
    """A SeaweedFS server over folder; the curator's variables for it."""
    ports = seaweedfs.Ports.pick()
    (folder / "data").mkdir(parents=True)
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            seaweedfs.prepare(folder / "data", ports),
            env=seaweedfs.environment(*ACCESS),
            stdout=log,
            stderr=log,
        )
    try:
        seaweedfs.wait_ready(
            S3ObjectStore(ports.endpoint, *ACCESS, BUCKET), has_exited=lambda: process.poll() is not None
        )
        names = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "BUCKET")
        yield {
            f"BURNISH_S3_{name}": value for name, value in zip(names, (ports.endpoint, *ACCESS, BUCKET), strict=True)
        }
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-runlog-") as name, seaweed(Path(name) / "seaweed") as s3:
        log = Path(name) / "log.jsonl"
        write_log(log, options.lines)
        curator = start_curator(Path(name) / "curator", s3)
        try:
            measured = measure(log, options.lines, curator)
        finally:
            curator.stop()
    if options.json:
        print(json.dumps(asdict(measured) | {"import_and_diagnose_seconds": measured.import_and_diagnose_seconds}))
        return
    print(f"{measured.lines:,} lines, {measured.size_bytes / 1e6:.0f} MB")
    print(f"json.loads loop over the file         {measured.json_loads_seconds:8.1f} s")
    print(f"import                                {measured.import_seconds:8.1f} s")
    print(f"first diagnosis (opens the run log)   {measured.diagnose_seconds:8.2f} s")
    print(f"import and diagnosis                  {measured.import_and_diagnose_seconds:8.1f} s")
    print(f"diagnosis again                       {measured.diagnose_again_seconds:8.2f} s")
    print(f"100 rows of one label                 {measured.rows_of_label_seconds:8.2f} s")
    print(f"manifest                              {measured.manifest_seconds:8.2f} s")
    print(f"peak memory of the curator            {measured.peak_memory_bytes / 1e6:8.0f} MB")


if __name__ == "__main__":
    main()
