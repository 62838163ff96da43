"""How well paraphrases of benchmark questions are told from questions that only look so, and how fast. Called by `make bench-paraphrases`."""

from __future__ import annotations

import argparse
import time

import numpy as np
from cluster_making import intents
from paraphrase_making import Kind, pairs, questions

from burnish.curation.gates.lookalikes import Asked
from burnish.curation.gates.paraphrases import COSINE, Paraphrases, in_other_words, words_of
from burnish.embedding.vectors import WordLlama

BOUNDS = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8)


def found_by(which: str) -> dict[Kind, tuple[int, list[tuple[int, int]]]]:
    """Kind of pair -> how many there are; of each bound how many lie above it by the embedding alone, and how many of these are suspected."""
    made = questions(which)
    texts = sorted({each.text for each in made})
    vector = dict(zip(texts, WordLlama().vectors(texts), strict=True))
    result: dict[Kind, tuple[int, list[tuple[int, int]]]] = {}
    for kind, listed in pairs(made).items():
        alike = np.array([vector[one] @ vector[other] for one, other in listed])
        worded = np.array([in_other_words(words_of(one), words_of(other)) for one, other in listed])
        result[kind] = len(listed), [(int((alike >= b).sum()), int((worded & (alike >= b)).sum())) for b in BOUNDS]
    return result


def false_rows(which: str, count: int = 4000) -> tuple[int, int]:
    """(rows that are suspected, rows): one application's questions against a benchmark of its other kinds of question."""
    texts, labels = intents(which, count, seed=1)
    of_benchmark = set(sorted(set(labels))[::2])
    asked = {label: [] for label in (True, False)}
    for text, label in zip(texts, labels, strict=True):
        asked[label in of_benchmark].append(Asked(text, text))
    screen = Paraphrases({str(n): each for n, each in enumerate(asked[True][:1000])}, asked[False])
    return sum(screen.find(each) is not None for each in asked[False]), len(asked[False])


def seconds(rows: int, benchmark: int) -> tuple[float, float]:
    """(seconds, CPU seconds) of comparing so many distinct rows with so many benchmark questions."""
    texts, _ = intents("tuned", rows + benchmark, seed=2)
    letters = str.maketrans("0123456789", "abcdefghij")
    asked = [Asked(f"{text} {str(number).translate(letters)}", text) for number, text in enumerate(texts)]
    began, cpu = time.perf_counter(), time.process_time()
    screen = Paraphrases({str(n): each for n, each in enumerate(asked[:benchmark])}, asked[benchmark:])
    for each in asked[benchmark:]:
        screen.find(each)
    return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=50_000, help="that are timed, against a tenth as many benchmark questions; 0: none"
    )
    options = parser.parse_args()
    for which in ("tuned", "held"):
        print(f"{which}: cosine of at least {BOUNDS}, by the embedding alone -> suspected; the bound is {COSINE}")
        for kind, (total, counts) in found_by(which).items():
            print(f"  {kind:28} {total:6,}  " + "  ".join(f"{alone:4} -> {worded:3}" for alone, worded in counts))
        wrong, rows = false_rows(which)
        print(
            f"  {wrong} of {rows:,} rows are suspected though the benchmark has none of their kind ({wrong / rows:.1%})"
        )
    if options.rows:
        took, cpu = seconds(options.rows, options.rows // 10)
        print(f"{options.rows:,} rows against {options.rows // 10:,} questions in {took:.1f} s, {cpu:.1f} CPU s")


if __name__ == "__main__":
    main()
