"""Labelled sets for clustering: texts of intents, and answers that fail in planted ways, made from the templates in tests/fixtures/clusters.

Of each kind there are two: `tuned`, on which settings were chosen, and `held`, which is only measured.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from runlog_making import open_log, run
from scipy.special import gammaln

from burnish.diagnosis import RunCodes
from burnish.runlogs.reader import RunLogReader

FOLDER = Path(__file__).parent / "fixtures/clusters"
SYLLABLES = [first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "u", "an", "el", "or")]
SLOTS = ("{topic}", "{asked}", "{fact}")
CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")


@dataclass(frozen=True)
class Planted:
    """One answer of a set with planted ways to fail."""

    question: str
    answer: str
    mode: str
    topic: str


def _lines(file: str) -> list[str]:
    return [line for line in (FOLDER / file).read_text().splitlines() if line.strip()]


def _groups(lines: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("# "):
            groups[name := line[2:]] = []
        elif not line.startswith(("~ ", "= ", "? ")):
            groups[name].append(line)
    return groups


def spoken(template: str, dice: random.Random) -> str:
    """One choice of every `{a|b}`."""
    return CHOICE.sub(lambda match: dice.choice(match[1].split("|")), template)


def intents(which: str, count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """(texts, the group of each). which: `tuned` or `held`."""
    lines, dice = _lines(f"intents_{which}.txt"), random.Random(seed)
    start, end = (line[2:] for line in lines if line.startswith("~ "))
    groups = _groups(lines)
    texts, labels = [], []
    for _ in range(count):
        name = dice.choice(list(groups))
        middle = spoken(dice.choice(groups[name]), dice)
        texts.append(f"{spoken(start, dice)}{middle}{dice.choice(['?', '.', '', '!'])}{spoken(end, dice)}")
        labels.append(name)
    return texts, labels


def planted(which: str, count: int, seed: int = 0, distinct: bool = False) -> list[Planted]:
    """which: `tuned` or `held`. distinct: every question and answer has words of its own, so that nothing is a duplicate."""
    lines, dice = _lines(f"modes_{which}.txt"), random.Random(seed)
    topics = [line[2:].split(" | ") for line in lines if line.startswith("= ")][1:]
    questions = [line[2:] for line in lines if line.startswith("? ")]
    groups = _groups(lines)
    made = []
    for _ in range(count):
        topic, mode = dice.choice(topics), dice.choice(list(groups))
        filled = dict(zip(SLOTS, topic, strict=True))
        question, answer = (_filled(dice.choice(each), filled, dice) for each in (questions, groups[mode]))
        if distinct:
            question, answer = f"{question} {_own_words(4, dice)}", f"{answer} {_own_words(12, dice)}"
        made.append(Planted(question, answer, mode, topic[0]))
    return made


def _filled(template: str, filled: dict[str, str], dice: random.Random) -> str:
    text = spoken(template, dice)
    for name, value in filled.items():
        text = text.replace(name, value)
    return text.replace("\\n", "\n")


def signed(which: str, kinds: Sequence[str], count: int, seed: int = 0) -> list[Planted]:
    """Answers with a signature, of these kinds of `signatures_<which>.txt`, as often as one another."""
    lines, groups, dice = _lines(f"modes_{which}.txt"), _groups(_lines(f"signatures_{which}.txt")), random.Random(seed)
    topics = [line[2:].split(" | ") for line in lines if line.startswith("= ")][1:]
    questions = [line[2:] for line in lines if line.startswith("? ")]
    made = []
    for _ in range(count):
        filled, kind = dict(zip(SLOTS, dice.choice(topics), strict=True)), dice.choice(kinds)
        question, answer = (_filled(dice.choice(each), filled, dice) for each in (questions, groups[kind]))
        made.append(Planted(question, answer, kind, filled["{topic}"]))
    return made


CANNED_SHARES = (0.20, 0.10, 0.05)


def canned(which: str, count: int, seed: int = 0, wordings: int = 0) -> list[Planted]:
    """Planted failures, of which three canned texts of other languages replace a share each. wordings: of each planted mode at most; 0: any."""
    dice = random.Random(seed)
    texts = list(_groups(_lines(f"canned_{which}.txt")).items())
    chosen = dice.sample(texts, len(CANNED_SHARES))
    said: dict[str, list[str]] = {}
    made = []
    for each in planted(which, count, seed):
        known = said.setdefault(each.mode, [])
        if len(known) < wordings:
            known.append(each.answer)
        mode, answer = each.mode, dice.choice(known) if wordings else each.answer
        draw = dice.random()
        for (name, (template,)), share in zip(chosen, CANNED_SHARES, strict=True):
            if 0 <= draw < share:
                mode, answer = name, spoken(template, dice)
            draw -= share
        made.append(Planted(each.question, answer, mode, each.topic))
    return made


def _own_words(count: int, dice: random.Random) -> str:
    """Words that are common to all texts in their parts, and to none in their order."""
    return " ".join(dice.choice(SYLLABLES) + dice.choice(SYLLABLES) for _ in range(count))


def open_planted(folder: Path, made: list[Planted]) -> tuple[RunLogReader, RunCodes]:
    """A run log of them, each a question of its own that failed without a label."""
    lines = (
        run(f"q{i}", question=each.question, answer=each.answer, failure_label=None) for i, each in enumerate(made)
    )
    return open_log(folder, lines)


def agreement(a: list[Any] | np.ndarray, b: list[Any] | np.ndarray) -> float:
    """Adjusted mutual information of two groupings, by the arithmetic mean: 1 the same, 0 as by chance.

    Source: Vinh, Epps, Bailey 2010, "Information Theoretic Measures for Clusterings Comparison", eq. 24a.
    """
    _, rows = np.unique(a, return_inverse=True)
    _, columns = np.unique(b, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    n, of_row, of_column = table.sum(), table.sum(1), table.sum(0)
    filled = table > 0
    outer = np.outer(of_row, of_column)
    mutual = float((table[filled] / n * np.log(n * table[filled] / outer[filled])).sum())
    entropies = [float(-(x / n * np.log(x / n)).sum()) for x in (of_row, of_column)]
    expected = _expected(of_row, of_column, int(n))
    return (mutual - expected) / (sum(entropies) / 2 - expected)


def _expected(of_row: np.ndarray, of_column: np.ndarray, n: int) -> float:
    """Mutual information that two groupings of these sizes have by chance."""
    total = 0.0
    for i in of_row:
        for j in of_column:
            both = np.arange(max(1, int(i + j - n)), int(min(i, j)) + 1)
            logs = gammaln(i + 1) + gammaln(j + 1) + gammaln(n - i + 1) + gammaln(n - j + 1) - gammaln(n + 1)
            logs = (
                logs - gammaln(both + 1) - gammaln(i - both + 1) - gammaln(j - both + 1) - gammaln(n - i - j + both + 1)
            )
            total += float((both / n * np.log(n * both / (i * j)) * np.exp(logs)).sum())
    return total
