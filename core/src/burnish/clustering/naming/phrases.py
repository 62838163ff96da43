"""Names of groups: the phrases that a group says more than the others do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from itertools import count as count_from

import numpy as np

from burnish.clustering.texts import Kept

LONGEST_PHRASE = 3
TEXTS_A_GROUP = 400  # more tell nothing new
WORDS_A_TEXT = 200
PRIOR = 500.0  # words of the prior, spread as they are over all groups
PHRASES = 3
LONGEST_NAME, SHORTEST_NAME = 48, 12  # characters
SEEN_TWICE = 2
SHORTEST_PHRASE = 3  # characters


def phrases_of(groups: Sequence[Sequence[Kept]]) -> list[list[str]]:
    """The phrases of one to three words that set each group of texts apart, the most telling first.

    Log-odds of a phrase in the group against all others, with the phrases of all groups as prior, as a z-score. Source: Monroe, Colaresi, Quinn
    2008, "Fightin' Words", equations 15 to 22. A phrase stands in two texts at least.
    """
    counted = [_count(group) for group in groups]
    of_all: Counter[str] = Counter()
    for counts, _ in counted:
        of_all.update(counts)
    total = sum(of_all.values())
    return [_telling(counts, texts, of_all, total) for counts, texts in counted]


def _count(group: Sequence[Kept]) -> tuple[Counter[str], Counter[str]]:
    """(times each phrase is said, texts that it is said in)."""
    step = max(1, len(group) // TEXTS_A_GROUP)
    said: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    for kept in group[::step][:TEXTS_A_GROUP]:
        here = list(_phrases(kept[:WORDS_A_TEXT]))
        said.update(here)
        texts.update(set(here))
    return said, texts


def _phrases(kept: Kept) -> Iterable[str]:
    run: list[str] = []
    for word in [*kept, None]:
        if word is not None and word[0].isalpha():
            run.append(word)
            for length in range(1, min(LONGEST_PHRASE, len(run)) + 1):
                yield " ".join(run[-length:])
        else:
            run = []


def _telling(counts: Counter[str], texts: Counter[str], of_all: Counter[str], total: int) -> list[str]:
    names = [phrase for phrase in counts if texts[phrase] >= SEEN_TWICE and len(phrase) >= SHORTEST_PHRASE]
    if not names:
        return []
    here = np.array([counts[name] for name in names], dtype=float)
    everywhere = np.array([of_all[name] for name in names], dtype=float)
    size, rest = sum(counts.values()), total - sum(counts.values())
    prior = PRIOR * everywhere / max(total, 1)
    there = everywhere - here
    odds = np.log((here + prior) / (size + PRIOR - here - prior)) - np.log(
        (there + prior) / (rest + PRIOR - there - prior)
    )
    score = odds / np.sqrt(1 / (here + prior) + 1 / (there + prior))
    order = sorted(range(len(names)), key=lambda i: (-score[i], names[i]))
    chosen: list[str] = []
    for name in (names[i] for i in order if score[i] > 0):
        own = set(name.split())
        if not any(own & set(other.split()) for other in chosen):
            chosen.append(name)
        if len(chosen) == PHRASES:
            break
    return chosen


def name_of(phrases: Sequence[str], taken: Iterable[str], otherwise: str, prefix: str = "") -> str:
    """A name that can be typed without quotes and that is not taken: the first phrase, and more of them while it is short. prefix: comes first."""
    used = set(taken)
    slugs = [slug for count in range(1, len(phrases) + 1) if (slug := _slug(" ".join(phrases[:count])))]
    base = next((slug for slug in slugs if len(slug) >= SHORTEST_NAME), slugs[-1] if slugs else otherwise)
    base = f"{prefix}-{base}" if prefix and base != prefix else base
    return next(name for name in chain([base], (f"{base}-{n}" for n in count_from(2))) if name not in used)


def _slug(text: str) -> str:
    slug = "-".join(re.findall(r"\w+", text.casefold()))
    return slug if len(slug) <= LONGEST_NAME else slug[:LONGEST_NAME].rpartition("-")[0] or slug[:LONGEST_NAME]
