"""Who is held out, who validates, who trains: by seeded hashes, so that the same question always lands in the same place.

Questions that share a prompt move as one, through any run of the log.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

from burnish.curation.targets import Example
from burnish.errors import PreconditionError


@dataclass(frozen=True)
class Unit:
    """Examples that must stay together, since their questions share a prompt somewhere in the log."""

    key: str
    label: str
    examples: tuple[Example, ...]

    @property
    def questions(self) -> int:
        return sum(len(example.question_ids) for example in self.examples)


@dataclass(frozen=True)
class Partition:
    held_out: list[Unit]
    validation: list[Unit]
    train: list[Unit]

    @property
    def trained(self) -> list[Example]:
        """What is in training and validation rows."""
        return [example for unit in (*self.train, *self.validation) for example in unit.examples]

    def changed(self, change: Callable[[Example], Example | None]) -> Partition:
        """With each trained example as `change` gives it back, None: without it. What is held out stays as it is."""
        validation, train = (_changed(part, change) for part in (self.validation, self.train))
        return Partition(self.held_out, validation, train)


def hash_rank(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1) fixed by its arguments and uniform over keys; different purposes draw independently."""
    digest = hashlib.sha256(f"{seed}\x00{purpose}\x00{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def units(examples: Sequence[Example], keys: Mapping[str, set[str]]) -> list[Unit]:
    """Connected components of examples; keys: question id -> every prompt key it was asked with. In order of key."""
    root: dict[str, str] = {}

    def find(key: str) -> str:
        while root.setdefault(key, key) != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for example in examples:
        for question_id in example.question_ids:
            for key in keys.get(question_id, set()):
                first, second = sorted((find(key), find(example.key)))
                root[second] = first
    components: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: e.key):
        components[find(example.key)].append(example)
    return [Unit(group[0].key, group[0].label, tuple(group)) for group in components.values()]


def partition(all_units: Sequence[Unit], held_out_share: float, validation_share: float, seed: int) -> Partition:
    """Hold out a share of the questions, then a share of what remains for validation; both stratified by label.

    At least one unit is held out and at least one trains; with validation_share above 0 and two or more units left, one
    validates. PreconditionError where all questions are one unit.
    """
    if len(all_units) < 2:
        raise PreconditionError(
            "the corrected questions all share one prompt, so none can be held out: correct at least 2 questions with different prompts"
        )
    held_out = _draw(all_units, held_out_share, seed, "held_out", at_least_one=True)
    rest = _without(all_units, held_out)
    validation = _draw(rest, validation_share, seed, "validation", at_least_one=validation_share > 0 and len(rest) > 1)
    return Partition(held_out, validation, _without(rest, validation))


def partition_with_uncorrected(
    examples: Sequence[Example],
    keys: Mapping[str, set[str]],
    held_out_share: float,
    validation_share: float,
    seed: int,
) -> tuple[Partition, list[str]]:
    """A partition whose corrected examples lie exactly where `partition` puts them alone; the others are drawn in the same shares.

    So formats that need corrections and KTO, which does not, hold out the same corrected questions. An uncorrected example that shares
    a prompt with a corrected one goes where that is; one that shares prompts with several parts is left out. Also
    returns the questions of these.
    """
    corrected = units([example for example in examples if example.correction is not None], keys)
    joint = units(examples, keys)
    if len(corrected) < 2 or all(example.correction is not None for example in examples):
        return partition(joint, held_out_share, validation_share, seed), []
    parts = partition(corrected, held_out_share, validation_share, seed)
    part_of = {
        example.key: part
        for part in (parts.held_out, parts.validation, parts.train)
        for unit in part
        for example in unit.examples
    }
    free: list[Unit] = []
    left_out: list[str] = []
    for unit in joint:
        others = tuple(example for example in unit.examples if example.correction is None)
        beside = {id(part): part for example in unit.examples if (part := part_of.get(example.key)) is not None}
        if not beside:
            free.append(unit)
        elif others and len(beside) == 1:
            next(iter(beside.values())).append(Unit(others[0].key, others[0].label, others))
        elif others:
            left_out += [example.question_id for example in others]
    if len(free) < 2:
        parts.train.extend(free)
        return parts, left_out
    drawn = partition(free, held_out_share, validation_share, seed)
    whole = Partition(parts.held_out + drawn.held_out, parts.validation + drawn.validation, parts.train + drawn.train)
    return whole, left_out


def quotas(sizes: Mapping[str, int], share: float, at_least_one: bool) -> dict[str, int]:
    """How many of each stratum make up `share` of all: largest remainder, ties by name. Never all of them."""
    everything = sum(sizes.values())
    total = min(max(round(share * everything), int(at_least_one)), everything - 1)
    exact = {name: total * size / everything for name, size in sizes.items()}
    result = {name: floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (result[name] - exact[name], name))
    for name in by_remainder[: total - sum(result.values())]:
        result[name] += 1
    return result


def _draw(candidates: Sequence[Unit], share: float, seed: int, purpose: str, at_least_one: bool) -> list[Unit]:
    """Units in hash order until each label's quota of questions is full; a unit too big for what is left is passed over."""
    if not candidates or (share == 0 and not at_least_one):
        return []
    ranked = sorted(candidates, key=lambda unit: hash_rank(seed, purpose, unit.key))
    left = quotas(_sizes(candidates), share, at_least_one)
    drawn: list[Unit] = []
    for unit in ranked:
        if unit.questions <= left[unit.label]:
            left[unit.label] -= unit.questions
            drawn.append(unit)
    if at_least_one and not drawn:
        drawn.append(min(ranked, key=lambda unit: unit.questions))
    return drawn


def _changed(part: Iterable[Unit], change: Callable[[Example], Example | None]) -> list[Unit]:
    changed = [(unit, tuple(e for each in unit.examples if (e := change(each)) is not None)) for unit in part]
    return [Unit(unit.key, unit.label, examples) for unit, examples in changed if examples]


def _without(candidates: Sequence[Unit], drawn: Sequence[Unit]) -> list[Unit]:
    keys = {unit.key for unit in drawn}
    return [unit for unit in candidates if unit.key not in keys]


def _sizes(candidates: Iterable[Unit]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for unit in candidates:
        sizes[unit.label] += unit.questions
    return dict(sizes)
