"""From a run log and its corrections to training examples: one an own prompt, with everything that shares that prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.lookalikes import Asked
from burnish.curation.own_grader import OwnGrader, logged_grader, objection, passes
from burnish.curation.preferences.settling import CONFLICT as CONFLICTING_PREFERENCES
from burnish.curation.preferences.settling import Settled, settle
from burnish.curation.review.items import Correction, Judgement, decided_failures, first_failures, keys_of_rows
from burnish.diagnosis.clusters import RunCodes
from burnish.runlogs.prompts import PROMPT_COLUMNS, is_plain, prompt_messages, prompt_of
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Message, message_key, spoken_key
from burnish.schemas.dataset import DatasetFormat
from burnish.schemas.review import Preference
from burnish.schemas.runlog import RunLogLine

NO_CORRECTION = "no correction"
CONFLICT = "conflicting corrections of one prompt"
DUPLICATE = "duplicate: another question has the same prompt"
BENCHMARK_ONLY = "benchmark_only"
ANSWERED = "messages end with the model's own turn: log what it was sent, without its answer"
REPEATED = "the correction repeats the wrong answer"
OTHER_PROMPT = "the correction was made for another prompt of this question"
FAILS_ITS_GRADER = "the correction fails the question's own grader"
UP_FAILS_ITS_GRADER = "the answer with a thumb up fails the question's own grader"
NOT_PLAIN = "the run has tool calls, images or files, which a row cannot hold"
NOTHING_SAID = "no correction, and the wrong answer is empty"
BY_A_PERSON = "written by a person"
FROM_EXPECTED = "the expected answer, accepted by a person"
FROM_VENDOR = "a correction of the log, accepted by a person"
_ASKED_COLUMNS = ["question_id", *PROMPT_COLUMNS]


@dataclass(frozen=True)
class Target:
    """A question that failed under a chosen label, as its first such failure shows it: under the label that was corrected, if any was.

    own_grader: the grader that the run log's line names. model: who gave the wrong answer. proposals: text -> where the log has it
    from, for answers that a reviewer may have taken over.
    """

    question_id: str
    label: str
    prompt: list[Message]
    wrong_answer: str
    own_grader: OwnGrader | None = None
    model: str | None = None
    is_plain: bool = True
    question: str = ""
    slice: str | None = None
    proposals: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        return Asked.of(self.question, self.prompt)

    @property
    def key(self) -> str:
        return message_key(self.prompt)


@dataclass(frozen=True)
class Example:
    """One prompt with its one correction. question_ids: every targeted question that has this prompt, ascending.

    correction: None if there is none, which only KTO has a use for. preference: instead of it, what the row is made of.
    """

    key: str
    question_ids: tuple[str, ...]
    label: str
    prompt: list[Message]
    correction: str | None
    wrong_answer: str
    model: str | None
    asked: Asked
    slice: str | None = None
    provenance: str = BY_A_PERSON
    is_verified: bool = False
    preference: Preference | None = None

    @property
    def question_id(self) -> str:
        return self.question_ids[0]

    @property
    def taught(self) -> tuple[str, str]:
        """(in which way, the answer) that its row teaches."""
        if self.preference is not None:
            return (
                ("chosen", self.preference.pair[0])
                if self.preference.pair
                else (self.preference.choice, self.preference.a)
            )
        return ("correction", self.correction) if self.correction is not None else ("unwanted", self.wrong_answer)


@dataclass
class Examples:
    """Examples in the order of the log, and which targets were left out for which reason."""

    examples: list[Example] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


def is_answered(prompt: Sequence[Message]) -> bool:
    """Whether the prompt already holds the answer, as logs of whole conversations do: nothing to train on."""
    return prompt[-1].role == "assistant"


def read_targets(
    log: RunLogReader,
    codes: RunCodes,
    labels: Sequence[str],
    corrections: Mapping[str, Correction | Judgement],
    slices: Sequence[str] = (),
) -> list[Target]:
    """The first model-attributed failure of every question under these labels (and slices; empty: all), in the order of the log.

    Of a corrected question it is the failure that its reviewer saw, if that is among the labels and slices.
    """
    rows = decided_failures(log, codes, labels, slices, corrections)
    return [
        Target(
            question_id=line.question_id,
            label=line.failure_label or "",
            prompt=prompt_messages(line),
            wrong_answer=line.answer,
            own_grader=logged_grader(line.model_extra, line.expected_answer),
            model=line.model,
            is_plain=is_plain(line),
            question=line.question,
            slice=line.slice,
            proposals=_proposals(line),
        )
        for line in log.lines(rows)
    ]


def _proposals(line: RunLogLine) -> dict[str, str]:
    """A vendor's correction goes before the expected answer, if both are the same."""
    found = {FROM_EXPECTED: line.expected_answer, FROM_VENDOR: line.correction}
    return {text.strip(): source for source, text in found.items() if text and text.strip()}


def misplaced_corrections(
    log: RunLogReader, codes: RunCodes, targets: Iterable[Target], corrections: Mapping[str, Correction | Judgement]
) -> set[str]:
    """Questions whose correction was made for another prompt than the target's.

    If the correction does not say for which, it is another one where the first failure under the correction's label has another.
    """
    keys = {t.question_id: t.key for t in targets if t.question_id in corrections}
    elsewhere: dict[str, set[str]] = defaultdict(set)
    found = set()
    for target in targets:
        correction = corrections.get(target.question_id)
        if correction is None:
            continue
        if correction.prompt_key is not None:
            found |= {target.question_id} if correction.prompt_key != target.key else set()
        elif correction.failure_label != target.label:
            elsewhere[correction.failure_label].add(target.question_id)
    for label, question_ids in elsewhere.items():
        rows = np.intersect1d(first_failures(codes, [label]), codes.rows_of(question_ids))
        found |= {
            line.question_id for line in log.lines(rows) if message_key(prompt_messages(line)) != keys[line.question_id]
        }
    return found


def of_some_prompt(
    log: RunLogReader, codes: RunCodes, targets: Iterable[Target], corrections: Mapping[str, Correction]
) -> list[str]:
    """Questions whose correction does not say for which prompt it is, though they failed under its label with several."""
    unsaid = {t.question_id for t in targets if t.question_id in corrections}
    unsaid = {question_id for question_id in unsaid if corrections[question_id].prompt_key is None}
    rows = codes.rows_of(unsaid)
    keys: dict[str, set[str]] = defaultdict(set)
    for row, key in keys_of_rows(log, rows[codes.attributed_R[rows]]):
        question_id = codes.questions[codes.question_R[row]]
        if codes.labels[codes.label_R[row]] == corrections[question_id].failure_label and codes.label_R[row] >= 0:
            keys[question_id].add(key)
    return sorted(question_id for question_id, found in keys.items() if len(found) > 1)


def collect_examples(
    targets: Iterable[Target],
    corrections: Mapping[str, Correction],
    benchmark_only: frozenset[str],
    *,
    own_graders: Mapping[str, OwnGrader] | None = None,
    misplaced: Collection[str] = (),
    uncorrected: bool = False,
    judgements: Mapping[str, Judgement] | None = None,
    dataset_format: DatasetFormat = "sft",
) -> Examples:
    """Group the targets by prompt and settle each group's correction.

    A group with two corrections that differ is discarded whole; so is one without any, unless `uncorrected`. Of a group with
    one correction the corrected question with the smallest id gives the row; the others count as duplicates but follow
    it into its split. own_graders: question id -> its grader in the benchmark, which goes before the run log's; a correction that it
    fails is discarded, as are those of `misplaced` questions. judgements: what people prefer of the questions without a correction; a
    group takes the first that the format can use.
    """
    result, graders, judgements = Examples(), own_graders or {}, judgements or {}
    groups: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        if target.question_id in benchmark_only:
            result.ledger.leave_out(BENCHMARK_ONLY, [target.question_id])
        elif not target.is_plain:
            result.ledger.leave_out(NOT_PLAIN, [target.question_id])
        elif is_answered(target.prompt):
            result.ledger.leave_out(ANSWERED, [target.question_id])
        elif target.question_id in misplaced:
            result.ledger.leave_out(OTHER_PROMPT, [target.question_id])
        else:
            groups[target.key].append(target)
    for key, group in groups.items():
        corrected = sorted((t for t in group if t.question_id in corrections), key=lambda t: t.question_id)
        outputs = {corrections[t.question_id].corrected_output for t in corrected}
        judged = {t.question_id: judgements[t.question_id].preference for t in group if t.question_id in judgements}
        settled = Settled() if corrected else settle(judged, dataset_format)
        preferred = [t for t in group if t.question_id == settled.question_id]
        first = (corrected or preferred or sorted(group, key=lambda t: t.question_id))[0]
        output = outputs.pop() if len(outputs) == 1 else None
        reason = CONFLICT if outputs else _objection(first, output, graders, uncorrected, settled)
        if reason:
            result.ledger.leave_out(reason, sorted(t.question_id for t in group))
            continue
        others = sorted(t.question_id for t in group if t.question_id != first.question_id)
        result.ledger.leave_out(DUPLICATE, others, first.question_id)
        ids = (first.question_id, *others)
        result.examples.append(
            Example(
                key,
                ids,
                first.label,
                first.prompt,
                output,
                first.wrong_answer,
                first.model,
                first.asked,
                first.slice,
                first.proposals.get((output or "").strip(), BY_A_PERSON),
                passes(graders.get(first.question_id, first.own_grader), output),
                settled.preference,
            )
        )
    return result


def _objection(
    target: Target, output: str | None, own_graders: Mapping[str, OwnGrader], uncorrected: bool, settled: Settled
) -> str | None:
    """Why the target cannot be trained on; None if it can."""
    grader = own_graders.get(target.question_id, target.own_grader)
    if settled.preference is not None:
        is_up = settled.preference.choice == "up"
        return UP_FAILS_ITS_GRADER if is_up and objection(grader, settled.preference.a) else None
    if settled.reason == CONFLICTING_PREFERENCES:
        return settled.reason
    if output is None:
        if not uncorrected:
            return settled.reason or NO_CORRECTION
        return None if target.wrong_answer.strip() else NOTHING_SAID
    if output.strip() == target.wrong_answer.strip():
        return REPEATED
    return FAILS_ITS_GRADER if objection(grader, output) else None


def prompt_keys(log: RunLogReader, codes: RunCodes, question_ids: Iterable[str]) -> dict[str, set[str]]:
    """Question id -> the spoken_key of every prompt it was asked with anywhere in the log (evidence may differ from run to run)."""
    rows = codes.rows_of(question_ids)
    seen: set[tuple[Any, ...]] = set()
    keys: dict[str, set[str]] = defaultdict(set)
    for piece in log.pieces(rows, _ASKED_COLUMNS):
        columns = [piece[name].to_pylist() for name in _ASKED_COLUMNS]
        for spelled in zip(*columns, strict=True):
            if spelled not in seen:
                seen.add(spelled)
                row = dict(zip(_ASKED_COLUMNS, spelled, strict=True))
                keys[row["question_id"]].add(spoken_key(prompt_of(row)))
    return dict(keys)


def always_passing(codes: RunCodes, model: str | None = None) -> np.ndarray:
    """The first passing row of every question that never fails, ascending. model: only rows of this model (None: of any)."""
    failed = np.unique(codes.question_R[codes.failing_R])
    own = np.ones(len(codes.question_R), dtype=bool) if model is None else codes.model_R == codes.models.index(model)
    rows = np.flatnonzero(codes.passing_R & own & ~np.isin(codes.question_R, failed))
    _, first = np.unique(codes.question_R[rows], return_index=True)
    chosen: np.ndarray = rows[np.sort(first)]
    return chosen
