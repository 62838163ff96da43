"""Rows that say the same again, nearly the same, or the opposite. None of it compares every row with every other.

Near-duplicates by MinHash over the prompt's character 5-grams (Broder 1997; datasketch). 5-grams that a fifth of the rows
share are the set's own template and are left out, and rows with different numbers in them (order 51875, order 39266)
are different rows: else every set made from a template would be one heap of near-duplicates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH

from burnish.schemas.base import Message
from burnish.schemas.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding

REFUSED_SHARE = 0.01  # of the rows that are copies of others
SHINGLE = 5  # characters
SIMILARITY = 0.85  # Jaccard, of prompts and of answers
TEMPLATE_SHARE = 0.2
TEMPLATE_ROWS = 10
BANDS = (12, 5)  # (bands, rows a band): a pair alike to 0.85 is missed once in a thousand times
EMPTY = MinHash(num_perm=BANDS[0] * BANDS[1], hashfunc=int)
SKETCHED = 256  # shingles of a row that are sketched: those with the smallest hashes; the comparison itself takes all
COMPARED = 20  # candidates a row is compared with
LONG_ANSWER = 200  # characters; shorter answers must be the same words, since one other word is another answer
WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\d+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def check_duplicates(records: Sequence[Record]) -> Iterable[Finding]:
    """Exact ones, white space and the prompt's case aside; every row but the first of its kind is a copy."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for record in records:
        groups[record.prompt_key, tuple(map(_answer_text, record.answers)), record.label].append(record.question_id)
    repeated = [ids for ids in groups.values() if len(ids) > 1]
    if not repeated:
        return
    copies = sum(len(ids) - 1 for ids in repeated)
    share = copies / len(records)
    yield finding(
        "duplicate-rows",
        f"{copies} of {len(records)} rows ({share:.1%}) repeat another one, prompt and answer alike: they weigh double. "
        "Remove them, or accept them if that is meant",
        [question_id for ids in repeated for question_id in ids],
        severity="refusal" if share > REFUSED_SHARE else "warning",
    )


def check_conflicts(records: Sequence[Record]) -> Iterable[Finding]:
    """One prompt whose answers contradict: two completions; a text both chosen and rejected; thumbs up and down on one."""
    by_prompt: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_prompt[record.prompt_key].append(record)
    conflicts = [group for group in by_prompt.values() if len(group) > 1 and _contradict(group)]
    if conflicts:
        rows = [record.question_id for group in conflicts for record in group]
        yield finding(
            "conflicting-corrections",
            f"{len(conflicts)} prompts have answers that contradict each other (first: {', '.join(rows[:2])}): the model "
            "would learn neither. Keep one answer of each, or put into the prompt what tells them apart",
            rows,
        )


def check_near_duplicates(records: Sequence[Record]) -> Iterable[Finding]:
    pairs = near_duplicates(records)
    if pairs:
        rows = [question_id for pair in pairs for question_id in pair]
        first, other = pairs[0]
        yield finding(
            "near-duplicate-rows",
            f"{len(pairs)} rows differ from an earlier one by a few characters only (first: {other} from {first}): they "
            "teach little and weigh double",
            rows,
        )


def near_duplicates(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(earlier row, row) pairs; a row is the later one of one pair at most. Exact duplicates are left out."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    seen: set[Hashable] = set()
    for index, record in enumerate(records):
        identity = record.prompt_key, _answer_text(record.learnt), record.label
        if identity not in seen:
            seen.add(identity)
            groups[_numbers(record), record.label].append(index)
    crowds = [indexes for indexes in groups.values() if len(indexes) > 1]
    if not crowds:
        return []
    shingles = _without_template([shingles_of(_asked(record)) for record in records])
    return [
        (records[one].question_id, records[other].question_id)
        for indexes in crowds
        for one, other in _alike(indexes, records, shingles)
    ]


def shingles_of(text: str) -> np.ndarray:
    """Distinct 64-bit hashes of the character 5-grams, ascending; of a shorter text, one hash."""
    folded = " ".join(text.split()).casefold().ljust(SHINGLE)
    codes = np.frombuffer(folded.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, SHINGLE)
    hashed = np.zeros(len(windows), dtype=np.uint64)
    for column in range(SHINGLE):
        hashed = (hashed ^ windows[:, column]) * _MULTIPLIER  # wraps
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Of two ascending arrays of distinct values; 1 if both are empty."""
    if not len(one) and not len(other):
        return 1.0
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def _alike(
    indexes: Sequence[int], records: Sequence[Record], shingles: Mapping[int, np.ndarray] | Sequence[np.ndarray]
) -> Iterable[tuple[int, int]]:
    """Only rows that are like none before them are kept to compare with, so a heap of copies costs no more than one."""
    sketches = MinHashLSH(num_perm=BANDS[0] * BANDS[1], params=BANDS)
    for index in indexes:
        sketch = _sketch(shingles[index])
        like = next((one for one in sketches.query(sketch)[:COMPARED] if _is_near(one, index, records, shingles)), None)
        if like is None:
            sketches.insert(index, sketch)
        else:
            yield like, index


def _is_near(
    one: int, other: int, records: Sequence[Record], shingles: Mapping[int, np.ndarray] | Sequence[np.ndarray]
) -> bool:
    if jaccard(shingles[one], shingles[other]) < SIMILARITY:
        return False
    first, second = _answer_text(records[one].learnt), _answer_text(records[other].learnt)
    if _words(first) == _words(second):
        return True
    return (
        min(len(first), len(second)) >= LONG_ANSWER and jaccard(shingles_of(first), shingles_of(second)) >= SIMILARITY
    )


def _sketch(shingles: np.ndarray) -> MinHash:
    sketch = EMPTY.copy()  # its permutations are drawn once
    if len(shingles):
        sketch.update_batch((shingles[:SKETCHED] >> np.uint64(32)).tolist())
    return sketch


def _without_template(shingles: Sequence[np.ndarray]) -> list[np.ndarray]:
    values, counts = np.unique(np.concatenate(shingles), return_counts=True)
    template = values[counts > max(TEMPLATE_ROWS, TEMPLATE_SHARE * len(shingles))]
    if not len(template):
        return list(shingles)
    return [found[~np.isin(found, template, assume_unique=True)] for found in shingles]


def _contradict(group: Sequence[Record]) -> bool:
    if any(len(record.answers) == 2 for record in group):
        preferred = [(_answer_text(record.answers[0]), _answer_text(record.answers[1])) for record in group]
        return bool({chosen for chosen, _ in preferred} & {rejected for _, rejected in preferred})
    if any(record.label is not None for record in group):
        thumbs = defaultdict(set)
        for record in group:
            thumbs[_answer_text(record.learnt)].add(record.label)
        return any(len(labels) > 1 for labels in thumbs.values())
    return len({_answer_text(record.learnt) for record in group}) > 1


def _answer_text(answer: Sequence[Message]) -> str:
    return "\n".join(" ".join(message.content.split()) for message in answer)


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _asked(record: Record) -> str:
    """What the prompt asks, without the system message, which every row shares."""
    return "\n".join(message.content for message in record.prompt if message.role != "system")


def _numbers(record: Record) -> tuple[str, ...]:
    return tuple(NUMBER.findall(_asked(record) + " " + _answer_text(record.learnt)))
