"""Baselines: what the base model does with a cheaper means than training, on the same questions.

`plan_baselines` says how each of them puts each question; the comparison asks them beside the two sides. Nothing here asks.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, get_args

import numpy as np

from burnish.curation.leakage import check_leaks, guarded_keys
from burnish.curation.output.exports import parse_rows
from burnish.errors import InvalidInputError
from burnish.extras import Late
from burnish.schemas.base import Message, spoken_key
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetFormat, DpoRow, Split
from burnish.schemas.evaluation import BaselineRecord
from burnish_client.evaluation.answer_format import choice_of, formats_of
from burnish_client.evaluation.asking.ask import Wording
from burnish_client.evaluation.forecast import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE
from burnish_client.evaluation.request import BaselineName, BaselineSettings, Correction

sparse = Late("scipy.sparse")

BASELINE_NAMES: tuple[BaselineName, ...] = get_args(BaselineName)
NOTHING_TO_CHANGE: dict[BaselineName, str] = {
    "few-shot": "no correction fits into the context beside a question",
    "nearest-few-shot": "no correction fits into the context beside a question",
    "schema": "no question's grader knows a form for guided decoding: a JSON object, or a pattern that several questions share",
    "choice": "no question has closed answers: the graders one_of, and multiple_choice with `choices`",
    "prompt": "no question's grader asks for a form that a prompt could name: give your own with --control-prompt",
}

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Baseline:
    """A baseline ready to be asked. A question without a wording is asked as the base is asked.

    Without any wording it would be the base under another name: it is not asked, and `not_applicable` says why.
    """

    name: BaselineName
    what: str
    wordings: Mapping[str, Wording]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        return f"arm-{self.name}.jsonl"

    @property
    def not_applicable(self) -> str | None:
        return None if self.wordings else NOTHING_TO_CHANGE[self.name]

    def record(self, questions: int) -> BaselineRecord:
        changed = len(self.wordings)
        return BaselineRecord(
            name=self.name,
            what=self.what,
            file=self.file if self.wordings else "",
            not_applicable=self.not_applicable,
            changed=changed,
            plain=questions - changed,
            details=dict(self.details),
        )


def baseline_names(text: str) -> tuple[BaselineName, ...]:
    """The baselines that a comma-separated list names, in BASELINE_NAMES order; `all` is every one. InvalidInputError for another."""
    asked = {word.strip() for word in text.split(",") if word.strip()}
    unknown = sorted(asked - set(BASELINE_NAMES) - {"all"})
    if unknown or not asked:
        raise InvalidInputError(
            f"no baseline {unknown[0] if unknown else text!r}: give some of {','.join(BASELINE_NAMES)}, or all",
            field="control",
        )
    return tuple(name for name in BASELINE_NAMES if name in asked or "all" in asked)


def read_corrections(train: bytes, dataset_format: DatasetFormat) -> list[Correction]:
    """The corrections in a train.jsonl (export format `rows`); anchors are no corrections."""
    return [
        Correction(
            row.question_id, tuple(row.prompt), (row.chosen if isinstance(row, DpoRow) else row.completion)[0].content
        )
        for row in parse_rows(train, dataset_format)
        if row.source == "correction"
    ]


def plan_baselines(
    settings: BaselineSettings,
    questions: Sequence[BenchmarkQuestion],
    split: Split | None,
    corrections: Sequence[Correction],
    *,
    max_tokens: int,
) -> list[Baseline]:
    """How each baseline puts each question.

    split: of the dataset that the corrections are from. max_tokens: answer budget of a question that has none of its
    own. Raises LeakageError if a correction has the prompt of a question that it may not be trained on,
    InvalidInputError if a baseline of examples has no corrections.
    """
    planned = []
    for name in (name for name in BASELINE_NAMES if name in settings.names):
        if name in ("few-shot", "nearest-few-shot"):
            _check_corrections(name, questions, split, corrections)
            planned.append(_examples(name, questions, settings, corrections, max_tokens))
        elif name == "schema":
            planned.append(_schema(questions))
        elif name == "choice":
            planned.append(_choice(questions))
        else:
            planned.append(_prompt(questions, settings.prompt))
    return planned


def _check_corrections(
    name: BaselineName, questions: Sequence[BenchmarkQuestion], split: Split | None, corrections: Sequence[Correction]
) -> None:
    if not corrections or split is None:
        raise InvalidInputError(
            f"baseline {name!r} shows corrections as examples and there are none: give --dataset, or choose baselines "
            "without examples: --control schema,choice,prompt",
            field="control",
        )
    trained = frozenset([*split.train, *split.validation, *split.anchors])
    untrained: dict[str, set[str]] = defaultdict(set)
    for correction in corrections:
        if correction.question_id not in trained:
            untrained[spoken_key(correction.prompt)].add(correction.question_id)
    shown = [(correction.question_id, spoken_key(correction.prompt)) for correction in corrections]
    check_leaks(shown, untrained, guarded_keys(questions, trained))


def _examples(
    name: BaselineName,
    questions: Sequence[BenchmarkQuestion],
    settings: BaselineSettings,
    corrections: Sequence[Correction],
    max_tokens: int,
) -> Baseline:
    nearest = name == "nearest-few-shot"
    in_turn = _in_turn_of_slices(questions, corrections, settings.seed)
    index = TextIndex([_spoken(correction.prompt) for correction in in_turn])
    wordings: dict[str, Wording] = {}
    shown = []
    for question in questions:
        ranked = [in_turn[i] for i in index.nearest(_spoken(question.prompt_messages()))] if nearest else in_turn
        own = spoken_key(question.prompt_messages())
        others = [c for c in ranked if c.question_id != question.question_id and spoken_key(c.prompt) != own][
            : settings.shots
        ]
        examples = _fitting(others, _room_bytes(question, settings.context_tokens, max_tokens))
        shown.append(len(examples))
        if examples:
            wordings[question.question_id] = _with_examples(question, examples[::-1] if nearest else examples)
    most = min(settings.shots, len(in_turn))
    which = (
        "the corrections nearest to it (TF-IDF cosine)" if nearest else "the same corrections, of every slice in turn"
    )
    details: dict[str, Any] = {
        "shots": settings.shots,
        "seed": settings.seed,
        "context_tokens": settings.context_tokens,
        "questions_with_fewer": sum(count < most for count in shown),
        "fewest": min(shown, default=0),
    }
    if not nearest:
        details["examples"] = [correction.question_id for correction in in_turn[: settings.shots]]
    return Baseline(name, f"The base model is shown, before each question, up to {most} of {which}.", wordings, details)


def _in_turn_of_slices(
    questions: Sequence[BenchmarkQuestion], corrections: Sequence[Correction], seed: int
) -> list[Correction]:
    """The corrections in a seeded order that takes one of every slice in turn."""
    slices = {question.question_id: question.slice for question in questions}
    groups: dict[str, list[Correction]] = defaultdict(list)
    for correction in sorted(corrections, key=lambda c: c.question_id):
        groups[slices.get(correction.question_id, "")].append(correction)
    order = random.Random(seed)
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
        turns = _turns(correction)
        room_bytes -= _size_bytes(turns) + TOKENS_PER_MESSAGE * BYTES_PER_TOKEN * len(turns)
        if room_bytes < 0:
            break
        fitting.append(correction)
    return fitting


def _size_bytes(messages: Iterable[Message]) -> int:
    return sum(len(message.content.encode()) for message in messages)


def _turns(correction: Correction) -> list[Message]:
    """As an example in a dialogue; a system message stays out, since the question brings its own."""
    spoken = [message for message in correction.prompt if message.role != "system"]
    return [*spoken, Message(role="assistant", content=correction.output)]


def _with_examples(question: BenchmarkQuestion, examples: Iterable[Correction]) -> Wording:
    """System messages first, then the examples as turns, then the question."""
    system, rest = _split_system(question)
    return Wording((*system, *(turn for example in examples for turn in _turns(example)), *rest))


def _schema(questions: Sequence[BenchmarkQuestion]) -> Baseline:
    formats = formats_of(questions)
    wordings = {
        question.question_id: Wording(tuple(question.prompt_messages()), answer.parameters)
        for question in questions
        if (answer := formats[question.question_id]).parameters
    }
    kinds = Counter(kind for question in questions for kind in formats[question.question_id].parameters)
    what = (
        f"The base model's answers are held to a form by guided decoding: {len(wordings)} of {len(questions)} questions, "
        "by the names and types of the fields or a pattern, never by a value."
    )
    return Baseline("schema", what, wordings, {"questions_by_parameter": dict(kinds)})


def _choice(questions: Sequence[BenchmarkQuestion]) -> Baseline:
    wordings = {
        question.question_id: Wording(tuple(question.prompt_messages()), parameters)
        for question in questions
        if (parameters := choice_of(question))
    }
    what = (
        f"The base model can answer only with one of the labels or letters on offer: {len(wordings)} of {len(questions)} "
        "questions, by guided decoding."
    )
    return Baseline("choice", what, wordings)


def _prompt(questions: Sequence[BenchmarkQuestion], own: str | None) -> Baseline:
    """own: the text for every question; None: what each question's grader asks of the form of an answer."""
    formats = formats_of(questions)
    texts = {question.question_id: own or formats[question.question_id].instruction for question in questions}
    wordings = {
        question.question_id: _with_system(question, text)
        for question in questions
        if (text := texts[question.question_id])
    }
    source = "given by the user" if own else "derived from what the graders ask of an answer's form"
    counted = Counter(text for text in texts.values() if text)
    details = {"source": source, "texts": [{"text": text, "questions": count} for text, count in counted.most_common()]}
    return Baseline("prompt", f"The base model gets a stricter system prompt, {source}.", wordings, details)


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


class TextIndex:
    """Texts by TF-IDF: 1 + log(count) times log((1 + N) / (1 + texts with the word)) + 1, unit length.

    Words are runs of letters, digits and underscores, case folded. Source: Manning, Raghavan, Schütze, "Introduction to
    Information Retrieval", 6.4 (sublinear tf, smoothed idf as scikit-learn has it). Used to pick examples as in Liu et
    al. 2022, "What Makes Good In-Context Examples for GPT-3?", section 3, with words in place of embeddings.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [_words(text) for text in texts]
        documents = Counter(word for words in counted for word in words)
        self._column = {word: column for column, word in enumerate(sorted(documents))}
        self._idf = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in documents.items()}
        self._weights_ND = self._matrix(counted)

    def nearest(self, text: str) -> list[int]:
        """Every text's index, most similar first; ties in the order given."""
        similarity_N = (self._weights_ND @ self._matrix([_words(text)]).T).toarray()[:, 0]
        return [int(i) for i in np.argsort(-similarity_N, kind="stable")]

    def _matrix(self, counted: Sequence[Counter[str]]) -> Any:
        """One row a text; words that no text of the index has are left out."""
        values, columns, starts = [], [], [0]
        for words in counted:
            weights = {w: (1 + math.log(count)) * self._idf[w] for w, count in words.items() if w in self._column}
            length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            values += [weight / length for weight in weights.values()]
            columns += [self._column[word] for word in weights]
            starts.append(len(values))
        return sparse.csr_array((values, columns, starts), shape=(len(counted), len(self._column)))


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.casefold()))
