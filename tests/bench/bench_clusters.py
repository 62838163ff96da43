"""How well and how fast failures are clustered, against the bars. Called by `make bench-clusters`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cluster_making import agreement, intents, open_planted, planted

from burnish.clustering.communities import NEAR_DUPLICATE, communities
from burnish.clustering.embedding import WordLlama
from burnish.clustering.failures import failing_rows, read_failures
from burnish.clustering.finding import find
from burnish.clustering.neighbours import leaders

BARS = {"intents": 0.70, "modes": 0.80}
LIMIT_SECONDS, LIMIT_GIB = 60.0, 2.0


def intent_agreement(which: str, count: int) -> float:
    texts, labels = intents(which, count, seed=count)
    vectors = WordLlama().vectors(texts)
    return agreement(communities(vectors, leaders(vectors, NEAR_DUPLICATE), seed=0).of, labels)


def mode_agreement(which: str, count: int) -> tuple[float, float]:
    """(agreement with the planted modes, with the topics)."""
    made = planted(which, count, seed=count)
    with tempfile.TemporaryDirectory() as folder:
        log, codes = open_planted(Path(folder), made)
        found = find(read_failures(log, codes, failing_rows(codes)), WordLlama(), seed=0)
    modes, topics = [each.mode for each in made], [each.topic for each in made]
    return agreement(found.cluster_R, modes), agreement(found.topic_R, topics)


def speed(lines: int) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak GiB) of clustering a log of so many failures, none like another."""
    with tempfile.TemporaryDirectory() as folder:
        log, codes = open_planted(Path(folder), planted("tuned", lines, distinct=True))
        began, cpu = time.perf_counter(), time.process_time()
        find(read_failures(log, codes, failing_rows(codes)), WordLlama(), seed=0)
        took = time.perf_counter() - began, time.process_time() - cpu
    return *took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=50_000, help="of the log that is timed; 0: none")
    options = parser.parse_args()
    missed = False
    for which in ("tuned", "held"):
        for count in (500, 2000, 5000):
            of_intents, (of_modes, of_topics) = intent_agreement(which, count), mode_agreement(which, count)
            print(
                f"{which:5}  {count:5,} texts  AMI with intents {of_intents:.3f} (bar {BARS['intents']})  "
                f"with modes {of_modes:.3f} (bar {BARS['modes']})  with topics {of_topics:.3f}"
            )
            missed |= of_intents < BARS["intents"] or of_modes < BARS["modes"]
    if options.lines:
        seconds, cpu, peak = speed(options.lines)
        print(
            f"{options.lines:,} lines in {seconds:.1f} s, {cpu:.1f} CPU s of all threads (bar {LIMIT_SECONDS:.0f}), peak {peak:.2f} GiB (bar {LIMIT_GIB:.0f})"
        )
        missed |= cpu > LIMIT_SECONDS or peak > LIMIT_GIB
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
