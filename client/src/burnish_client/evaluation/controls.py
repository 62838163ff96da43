"""Control arms: what the base model does with a cheaper means than training, on the same questions.

`plan_arms` says how each arm puts each question; the comparison asks them beside the two sides. Nothing here asks.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal, get_args

from burnish.curation.exports import parse_rows
from burnish.curation.leakage import check_leaks, guarded_keys
from burnish.curation.targets import message_key
from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetFormat, DpoRow, Split
from burnish.schemas.evaluation import ArmRecord
from burnish_client.evaluation.answer_forms import forms_of
from burnish_client.evaluation.asking import Wording
from burnish_client.evaluation.similarity import TextIndex

ArmName = Literal["few-shot", "nearest-few-shot", "schema", "prompt"]
ARM_NAMES: tuple[ArmName, ...] = get_args(ArmName)

BYTES_PER_TOKEN = 2.5  # fewer than any common tokenizer needs for English or code: the estimate errs to fewer examples
TOKENS_PER_MESSAGE = 8  # role and separators of a chat template


@dataclass(frozen=True)
class Correction:
    """A row of the training split that was made from a correction: what was asked, and what should have been said."""

    question_id: str
    prompt: tuple[Message, ...]
    output: str

    @property
    def key(self) -> str:
        return message_key(self.prompt)

    def turns(self) -> list[Message]:
        """As an example in a dialogue; a system message stays out, since the question brings its own."""
        spoken = [message for message in self.prompt if message.role != "system"]
        return [*spoken, Message(role="assistant", content=self.output)]


@dataclass(frozen=True)
class Arm:
    """A control arm ready to be asked. A question without a wording is asked as the base is asked."""

    name: ArmName
    what: str
    wordings: Mapping[str, Wording]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return f"arm-{self.name}.jsonl"

    def record(self, questions: int) -> ArmRecord:
        changed = len(self.wordings)
        return ArmRecord(
            name=self.name,
            what=self.what,
            file=self.file,
            changed=changed,
            plain=questions - changed,
            details=dict(self.details),
        )


@dataclass(frozen=True)
class Controls:
    """What the arms are made from. shots: examples a question. prompt: own system prompt in place of the derived one.

    context_tokens: what the base takes, prompt and answer together; None: not known, and every example is sent.
    """

    corrections: Sequence[Correction] = ()
    shots: int = 4
    prompt: str | None = None
    context_tokens: int | None = None
    seed: int = 0


def arm_names(text: str) -> list[ArmName]:
    """The arms that a comma-separated list names, in ARM_NAMES order; `all` is every one. InvalidInputError for another."""
    asked = {word.strip() for word in text.split(",") if word.strip()}
    unknown = sorted(asked - set(ARM_NAMES) - {"all"})
    if unknown or not asked:
        raise InvalidInputError(
            f"no control arm {unknown[0] if unknown else text!r}: give some of {','.join(ARM_NAMES)}, or all",
            field="control",
        )
    return [name for name in ARM_NAMES if name in asked or "all" in asked]


def read_corrections(train: bytes, dataset_format: DatasetFormat) -> list[Correction]:
    """The corrections of a train.jsonl (export form `rows`); anchors are no corrections."""
    return [
        Correction(
            row.question_id, tuple(row.prompt), (row.chosen if isinstance(row, DpoRow) else row.completion)[0].content
        )
        for row in parse_rows(train, dataset_format)
        if row.source == "correction"
    ]


def plan_arms(
    names: Collection[ArmName],
    questions: Sequence[BenchmarkQuestion],
    split: Split | None,
    controls: Controls,
    *,
    max_tokens: int,
) -> list[Arm]:
    """How each named arm puts each question.

    split: of the dataset that the corrections are from. max_tokens: answer budget of a question that has none of its
    own. Raises LeakageError where a correction has the prompt of a question that it may not be trained on,
    InvalidInputError where an example arm has no corrections.
    """
    arms = []
    for name in (name for name in ARM_NAMES if name in names):
        if name in ("few-shot", "nearest-few-shot"):
            _check_corrections(name, questions, split, controls)
            arms.append(_example_arm(name, questions, controls, max_tokens))
        elif name == "schema":
            arms.append(_schema_arm(questions))
        else:
            arms.append(_prompt_arm(questions, controls.prompt))
    return arms


def _check_corrections(
    name: ArmName, questions: Sequence[BenchmarkQuestion], split: Split | None, controls: Controls
) -> None:
    if not controls.corrections or split is None:
        raise InvalidInputError(
            f"control arm {name!r} shows corrections as examples and there are none: give --dataset, or choose arms by "
            "--control schema,prompt",
            field="control",
        )
    trained = frozenset([*split.train, *split.validation, *split.anchors])
    untrained: dict[str, set[str]] = defaultdict(set)
    for correction in controls.corrections:
        if correction.question_id not in trained:
            untrained[correction.key].add(correction.question_id)
    shown = [(correction.question_id, correction.key) for correction in controls.corrections]
    check_leaks(shown, untrained, guarded_keys(questions, trained))


def _example_arm(name: ArmName, questions: Sequence[BenchmarkQuestion], controls: Controls, max_tokens: int) -> Arm:
    nearest = name == "nearest-few-shot"
    in_turn = _in_turn_of_slices(questions, controls)
    index = TextIndex([_spoken(correction.prompt) for correction in in_turn])
    wordings: dict[str, Wording] = {}
    shown = []
    for question in questions:
        ranked = [in_turn[i] for i in index.nearest(_spoken(question.prompt_messages()))] if nearest else in_turn
        own = message_key(question.prompt_messages())
        others = [c for c in ranked if c.question_id != question.question_id and c.key != own][: controls.shots]
        examples = _fitting(others, _room_bytes(question, controls.context_tokens, max_tokens))
        shown.append(len(examples))
        if examples:
            wordings[question.question_id] = _with_examples(question, examples[::-1] if nearest else examples)
    most = min(controls.shots, len(in_turn))
    which = (
        "the corrections nearest to it (TF-IDF cosine)" if nearest else "the same corrections, of every slice in turn"
    )
    details: dict[str, Any] = {
        "shots": controls.shots,
        "seed": controls.seed,
        "context_tokens": controls.context_tokens,
        "questions_with_fewer": sum(count < most for count in shown),
        "fewest": min(shown, default=0),
    }
    if not nearest:
        details["examples"] = [correction.question_id for correction in in_turn[: controls.shots]]
    return Arm(name, f"The base model is shown, before each question, up to {most} of {which}.", wordings, details)


def _in_turn_of_slices(questions: Sequence[BenchmarkQuestion], controls: Controls) -> list[Correction]:
    """The corrections in a seeded order that takes one of every slice in turn."""
    slices = {question.question_id: question.slice for question in questions}
    groups: dict[str, list[Correction]] = defaultdict(list)
    for correction in sorted(controls.corrections, key=lambda c: c.question_id):
        groups[slices.get(correction.question_id, "")].append(correction)
    order = random.Random(controls.seed)
    shuffled = [order.sample(groups[name], len(groups[name])) for name in sorted(groups)]
    return [correction for turn in zip_longest(*shuffled) for correction in turn if correction is not None]


def _spoken(messages: Iterable[Message]) -> str:
    return "\n".join(message.content for message in messages if message.role != "system")


def _room_bytes(question: BenchmarkQuestion, context_tokens: int | None, max_tokens: int) -> float:
    """How many bytes of examples fit beside the question and its answer."""
    if context_tokens is None:
        return math.inf
    messages = question.prompt_messages()
    free = context_tokens - (question.max_tokens or max_tokens) - TOKENS_PER_MESSAGE * (len(messages) + 1)
    return free * BYTES_PER_TOKEN - _size_bytes(messages)


def _fitting(corrections: Sequence[Correction], room_bytes: float) -> list[Correction]:
    """The leading ones that fit together."""
    fitting = []
    for correction in corrections:
        turns = correction.turns()
        room_bytes -= _size_bytes(turns) + TOKENS_PER_MESSAGE * BYTES_PER_TOKEN * len(turns)
        if room_bytes < 0:
            break
        fitting.append(correction)
    return fitting


def _size_bytes(messages: Iterable[Message]) -> int:
    return sum(len(message.content.encode()) for message in messages)


def _with_examples(question: BenchmarkQuestion, examples: Iterable[Correction]) -> Wording:
    """System messages first, then the examples as turns, then the question."""
    system, rest = _split_system(question)
    return Wording((*system, *(turn for example in examples for turn in example.turns()), *rest))


def _schema_arm(questions: Sequence[BenchmarkQuestion]) -> Arm:
    forms = forms_of(questions)
    wordings = {
        question.question_id: Wording(tuple(question.prompt_messages()), form.parameters)
        for question in questions
        if (form := forms[question.question_id]).parameters
    }
    kinds = Counter(kind for question in questions for kind in forms[question.question_id].parameters)
    what = (
        f"The base model's answers are held to a form by guided decoding: {len(wordings)} of {len(questions)} questions, "
        "by the names and types of the fields, the letters of the choices or a pattern, never by a value."
    )
    return Arm("schema", what, wordings, {"questions_by_parameter": dict(kinds)})


def _prompt_arm(questions: Sequence[BenchmarkQuestion], own: str | None) -> Arm:
    """own: the text for every question; None: what each question's grader asks of the form of an answer."""
    forms = forms_of(questions)
    texts = {question.question_id: own or forms[question.question_id].instruction for question in questions}
    wordings = {
        question.question_id: _with_system(question, text)
        for question in questions
        if (text := texts[question.question_id])
    }
    source = "given by the user" if own else "derived from what the graders ask of an answer's form"
    counted = Counter(text for text in texts.values() if text)
    details = {"source": source, "texts": [{"text": text, "questions": count} for text, count in counted.most_common()]}
    return Arm("prompt", f"The base model gets a stricter system prompt, {source}.", wordings, details)


def _with_system(question: BenchmarkQuestion, text: str) -> Wording:
    """The text after the question's own system message, or as one."""
    system, rest = _split_system(question)
    content = "\n\n".join([*(message.content for message in system), text])
    return Wording((Message(role="system", content=content), *rest))


def _split_system(question: BenchmarkQuestion) -> tuple[list[Message], list[Message]]:
    """Leading system messages, and the rest."""
    messages = question.prompt_messages()
    first = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    return messages[:first], messages[first:]
