"""How well and how fast failures are clustered, against the bars. Called by `make bench-clusters`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from cluster_making import FOLDER, Planted, agreement, canned, intents, open_planted, planted, signed

from burnish.clustering.communities import NEAR_DUPLICATE, communities
from burnish.clustering.failures import compare, failing_rows, read_failures
from burnish.clustering.finding import find
from burnish.clustering.groups import parts_of_signature
from burnish.embedding.neighbours import leaders
from burnish.embedding.vectors import WordLlama

BARS = {"intents": 0.70, "modes": 0.80}
CANNED_SHARE, SEEDS = 0.04, 10
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


def clustered(made: list[Planted]) -> np.ndarray:
    """The cluster of each."""
    with tempfile.TemporaryDirectory() as folder:
        log, codes = open_planted(Path(folder), made)
        return find(read_failures(log, codes, failing_rows(codes)), WordLlama(), seed=0).cluster_R


def canned_found(which: str, count: int) -> tuple[float, float]:
    """(share of canned texts, of 4 % of the failures or more, that are a cluster of their own; agreement with all modes), over ten logs."""
    alone, agreements = [], []
    for seed in range(SEEDS):
        made = canned(which, count, seed=count + seed, wordings=3 * (seed % 2))
        modes, found = np.array([each.mode for each in made]), clustered(made)
        agreements.append(agreement(found, modes))
        planted_modes = {each.mode for each in planted(which, 200)}
        for mode in set(modes.tolist()) - planted_modes:
            said = modes == mode
            if said.mean() >= CANNED_SHARE:
                number = np.bincount(found[said] + 1).argmax() - 1
                alone.append(number >= 0 and ((found == number) == said).all())
    return float(np.mean(alone)), float(np.mean(agreements))


def signatures_found(which: str) -> tuple[float, float]:
    """(agreement with the kinds of a signature of several; share of signatures of one kind that stay one cluster)."""
    kinds: dict[str, list[str]] = {}
    for line in (FOLDER / f"signatures_{which}.txt").read_text().splitlines():
        if line.startswith("# "):
            kinds.setdefault(line[2:].partition("/")[0], []).append(line[2:])
    one = [[kind] for of in kinds.values() for kind in of]
    several = [of for name, of in kinds.items() if name != "one"]
    agreements = [agreement(_inside(which, of), [each.mode for each in signed(which, of, 300)]) for of in several]
    return float(np.mean(agreements)), float(np.mean([len(np.unique(_inside(which, of))) == 1 for of in one]))


def _inside(which: str, kinds: list[str]) -> np.ndarray:
    """The part of each of 300 answers with one signature, beside 300 others."""
    with tempfile.TemporaryDirectory() as folder:
        log, codes = open_planted(Path(folder), signed(which, kinds, 300) + planted(which, 300))
        failures = read_failures(log, codes, failing_rows(codes))
    compared = compare(failures, WordLlama(), seed=0)
    part = np.zeros(300, dtype=np.int64)
    for number, group in enumerate(parts_of_signature(failures, compared, np.arange(300), seed=0)):
        part[group.members] = number
    return part


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
        for count in (150, 600):
            alone, of_modes = canned_found(which, count)
            print(f"{which:5}  {count:5,} texts  {alone:.0%} of canned texts alone, AMI with all modes {of_modes:.3f}")
        several, one = signatures_found(which)
        print(f"{which:5}  signatures of several kinds: AMI {several:.3f}; of one kind: {one:.0%} stay one")
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
