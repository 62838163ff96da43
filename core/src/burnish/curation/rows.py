"""From the parts of a split and the anchors to the rows of both files. Called by `burnish.curation.build`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from burnish.curation.anchors import Anchor
from burnish.curation.output.sealing import Row
from burnish.curation.splitting import Partition, Unit, hash_rank
from burnish.curation.targets import Example
from burnish.schemas.base import Message
from burnish.schemas.dataset import DatasetSpec, DpoRow, KtoRow, SftRow
from burnish.schemas.review import Preference


@dataclass(frozen=True)
class Rows:
    train: list[Row]
    validation: list[Row]

    def changed(self, change: Callable[[list[Row]], list[Row]]) -> Rows:
        return Rows(change(self.train), change(self.validation))

    @property
    def all(self) -> list[Row]:
        return [*self.train, *self.validation]


def make_rows(spec: DatasetSpec, parts: Partition, anchors: Sequence[Anchor]) -> Rows:
    """Rows of both files, each mixed in seeded hash order."""
    ranked = sorted(anchors, key=lambda anchor: hash_rank(spec.seed, "anchor_validation", anchor.question_id))
    validating = round(spec.validation_share * len(ranked))
    train = [*_corrections(spec, parts.train), *(_anchor_row(spec, anchor) for anchor in ranked[validating:])]
    validation = [*_corrections(spec, parts.validation), *(_anchor_row(spec, anchor) for anchor in ranked[:validating])]

    def place(row: Row) -> tuple[float, str]:
        return hash_rank(spec.seed, "order", row.question_id), row.question_id

    return Rows(sorted(train, key=place), sorted(validation, key=place))


def _corrections(spec: DatasetSpec, chosen: Sequence[Unit]) -> list[Row]:
    examples = (example for unit in chosen for example in unit.examples)
    return [row for example in examples for row in example_rows(spec, example)]


def example_rows(spec: DatasetSpec, example: Example) -> list[Row]:
    """One row; for kto two, unless there is no correction, or the wrong answer is empty, of which there is nothing to unlearn."""
    if example.preference is not None:
        return [_preferred(example, example.preference)]
    if example.correction is None:
        return [_unwanted(example)]
    question_id, prompt = example.question_id, example.prompt
    right, wrong = _assistant(example.correction), _assistant(example.wrong_answer)
    if spec.format == "dpo":
        return [DpoRow(question_id=question_id, source="correction", prompt=prompt, chosen=right, rejected=wrong)]
    if spec.format == "sft":
        return [SftRow(question_id=question_id, source="correction", prompt=prompt, completion=right)]
    wanted = KtoRow(question_id=question_id, source="correction", prompt=prompt, completion=right, label=True)
    return [wanted, _unwanted(example)] if example.wrong_answer.strip() else [wanted]


def _preferred(example: Example, preference: Preference) -> Row:
    about: dict[str, Any] = {"question_id": example.question_id, "source": "preference", "prompt": example.prompt}
    if preference.pair is None:
        return KtoRow(**about, completion=_assistant(preference.a), label=preference.choice == "up")
    better, worse = preference.pair
    return DpoRow(**about, chosen=_assistant(better), rejected=_assistant(worse))


def _unwanted(example: Example) -> KtoRow:
    answer = _assistant(example.wrong_answer)
    return KtoRow(
        question_id=example.question_id, source="logged", prompt=example.prompt, completion=answer, label=False
    )


def empty_wrong_answers(spec: DatasetSpec, parts: Partition) -> list[str]:
    if spec.format != "kto":
        return []
    return sorted(example.question_id for example in parts.trained if not example.wrong_answer.strip())


def _anchor_row(spec: DatasetSpec, anchor: Anchor) -> Row:
    question_id, prompt, answer = anchor.question_id, anchor.prompt, _assistant(anchor.answer)
    if spec.format == "kto":
        return KtoRow(question_id=question_id, source="anchor", prompt=prompt, completion=answer, label=True)
    return SftRow(question_id=question_id, source="anchor", prompt=prompt, completion=answer)


def _assistant(content: str) -> list[Message]:
    return [Message(role="assistant", content=content)]
