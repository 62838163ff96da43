"""Rows that say the same again, nearly the same, or the opposite. None of it compares every row with every other.

Near-duplicates by core's lookalikes, as a dataset build finds them, but more alike. What a fifth of the rows share is the
set's own template and does not count, and rows with different numbers in them (order 51875, order 39266) are different
rows: else every set made from a template would be one heap of near-duplicates.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from burnish.curation.gates.lookalikes import Asked, Lookalikes, jaccard, shingles, template_of
from burnish.schemas.base import Message
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding

REFUSED_SHARE = 0.01  # of the rows that are copies of others
SIMILARITY = 0.85  # Jaccard, of prompts and of answers
LONG_ANSWER = 200  # characters; shorter answers must be the same words, since one other word is another answer
WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\d+")


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
    template = template_of(map(_asked, records))
    return [
        (records[one].question_id, records[other].question_id)
        for indexes in crowds
        for one, other in _alike(indexes, records, Lookalikes(template))
    ]


def _alike(indexes: Sequence[int], records: Sequence[Record], index: Lookalikes) -> Iterable[tuple[int, int]]:
    """(earlier, later) of rows that differ by a few characters; the earlier one is itself like none before it."""
    kept: set[int] = set()
    for number in indexes:
        asked = _asked(records[number])
        likes = index.add(str(number), Asked(asked, asked))
        near = [int(like.key) for like in likes if like.similarity >= SIMILARITY and int(like.key) in kept]
        first = next((one for one in near if _answers_alike(records[one], records[number])), None)
        if first is None:
            kept.add(number)
        else:
            yield first, number


def _answers_alike(one: Record, other: Record) -> bool:
    first, second = _answer_text(one.learnt), _answer_text(other.learnt)
    if _words(first) == _words(second):
        return True
    return min(len(first), len(second)) >= LONG_ANSWER and jaccard(shingles(first), shingles(second)) >= SIMILARITY


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
