"""Tries the cheap means on a sample of one failure cluster: is there one that does it already, without training? Called by `burnish try`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from burnish.curation.own_grader import logged_grader
from burnish.errors import InvalidInputError, PreconditionError
from burnish.grading import needs
from burnish.grading.line_signatures import line_signature
from burnish.runlogs.prompts import is_plain, prompt_messages
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import Split
from burnish.schemas.runlog import FAILING_GRADES, RunLogLine
from burnish.statistics import mcnemar_exact
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, Wording, ask_sides
from burnish_client.evaluation.baselines import BASELINE_NAMES, Baseline, baseline_names, plan_baselines
from burnish_client.evaluation.grade import grade_answer
from burnish_client.evaluation.request import BaselineName, BaselineSettings, Correction, Endpoint, Sampling

EVIDENCE_LAST = "evidence-last"
ARM_NAMES = (*BASELINE_NAMES, EVIDENCE_LAST)
DOES_IT = 0.9  # share of the sample that passes
LEVEL = 0.05
NO_EXAMPLES = "no other question of the cluster has a correction or an expected answer to show"
NO_EVIDENCE = "no question has evidence that could be moved"
Outcome = Literal["does-it", "helps", "no-difference", "not-applicable"]


@dataclass(frozen=True)
class Failure:
    """A question of the cluster as it will be asked. by_signature: a line that nothing can grade passes without that signature."""

    line: RunLogLine
    question: BenchmarkQuestion
    by_signature: str | None = None


@dataclass(frozen=True)
class Sampled:
    """asked: the sample; examples: what may be shown, of other questions; ungradeable: questions left out."""

    asked: list[Failure]
    examples: list[Correction]
    ungradeable: int


@dataclass(frozen=True)
class Tried:
    """What one means came to. fixed, broken: questions against the model as it is, on the same sample."""

    name: str
    what: str
    passed: int = 0
    asked: int = 0
    errors: int = 0
    fixed: int = 0
    broken: int = 0
    outcome: Outcome = "no-difference"


@dataclass(frozen=True)
class Trial:
    base: Tried
    arms: list[Tried] = field(default_factory=list)

    @property
    def does_it(self) -> Tried | None:
        """The cheapest means that does it, the model as it is first."""
        return next((tried for tried in (self.base, *self.arms) if tried.outcome == "does-it"), None)


def arm_names(text: str) -> tuple[tuple[BaselineName, ...], bool]:
    """(baselines that a comma-separated list names, whether it names evidence-last). InvalidInputError for another name."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or "all" in words:
        return BASELINE_NAMES, True
    unknown = sorted(set(words) - set(ARM_NAMES))
    if unknown:
        raise InvalidInputError(
            f"no means {unknown[0]!r} to try: give some of {','.join(ARM_NAMES)}, or all", field="control"
        )
    own = [word for word in words if word != EVIDENCE_LAST]
    return baseline_names(",".join(own)) if own else (), EVIDENCE_LAST in words


def sample_cluster(
    lines: Sequence[RunLogLine],
    corrections: Mapping[str, str],
    label: str,
    grader: str | None,
    count: int,
    seed: int,
) -> Sampled:
    """lines: of the cluster. corrections: question id -> corrected output. Half of the questions are asked, `count` at most; the others may be shown.

    PreconditionError, which says what to give, if no question can be graded.
    """
    first: dict[str, RunLogLine] = {}
    for line in lines:
        fails = (line.grade or "").strip().casefold() in FAILING_GRADES and line.retrieval_hit is not False
        if fails and is_plain(line):
            first.setdefault(line.question_id, line)
    failures = [_failure(line, corrections.get(line.question_id), label, grader) for line in first.values()]
    gradeable = [failure for failure in failures if failure is not None]
    if not gradeable:
        raise PreconditionError(
            f"nothing says what a right answer to the questions of {label!r} is: give --grader NAME if the lines have an expected "
            "answer, or correct some of them first (`burnish review export`)",
            label=label,
        )
    order = sorted(gradeable, key=lambda failure: failure.line.question_id)
    random.Random(seed).shuffle(order)
    asked = order[: max(1, min(count, (len(order) + 1) // 2))]
    ids = {failure.line.question_id for failure in asked}
    examples = [
        Correction(line.question_id, tuple(prompt_messages(line)), right)
        for line in first.values()
        if line.question_id not in ids and (right := corrections.get(line.question_id) or line.expected_answer)
    ]
    return Sampled(asked, examples, len(failures) - len(gradeable))


def _failure(line: RunLogLine, correction: str | None, label: str, grader: str | None) -> Failure | None:
    """How the line's question is graded: by its own grader, by --grader, else by the signature that it failed with."""
    own = logged_grader(line.model_extra, line.expected_answer)
    right = line.expected_answer or correction
    spec, expected = (own.spec, own.expected_answer) if own else (None, right)
    by_signature: str | None = None
    if spec is None and grader is not None and right:
        spec = GraderSpec(name=grader)
    if spec is not None and needs(spec) == "judge":
        spec = None
    if spec is None:
        found = line_signature(line, prompt_messages(line))
        if found is None:
            return None
        spec, expected, by_signature = GraderSpec(name="contains"), right or label, found.label
    question = BenchmarkQuestion(
        question_id=line.question_id,
        messages=prompt_messages(line),
        expected_answer=expected or "",
        grader=spec,
        slice=line.slice or "all",
        question=line.question,
        evidence_text=line.evidence_text,
        evidence_files=line.evidence_files,
    )
    return Failure(line, question, by_signature)


async def try_means(
    sampled: Sampled,
    names: Sequence[BaselineName],
    with_evidence_last: bool,
    settings: BaselineSettings,
    endpoint: Endpoint,
    model: str,
    sampling: Sampling,
    folder: Path,
    concurrency: int,
    progress: ProgressCallback | None = None,
) -> Trial:
    """Ask the sample as it is, and by each means. Answers are kept in `folder`; the same call asks only what is missing."""
    questions = [failure.question for failure in sampled.asked]
    arms, skipped = _planned(sampled, names, with_evidence_last, settings, sampling.max_tokens)
    folder.mkdir(parents=True, exist_ok=True)
    sides = [Side(endpoint, model, folder / "answers-base.jsonl")]
    sides += [Side(endpoint, model, folder / f"answers-{name}.jsonl", wordings=wordings) for name, _, wordings in arms]
    answers = await ask_sides(sides, questions, sampling=sampling, concurrency=concurrency, progress=progress)
    passed = [_passes(sampled, given) for given in answers]
    errors = [sum(answer.error is not None for answer in given) for given in answers]
    base = _tried("base", "the model as it is", passed[0], passed[0], errors[0])
    tried = [
        _tried(name, what, given, passed[0], failed)
        for (name, what, _), given, failed in zip(arms, passed[1:], errors[1:], strict=True)
    ]
    return Trial(base, [*tried, *skipped])


Arm = tuple[str, str, Mapping[str, Wording]]


def _planned(
    sampled: Sampled,
    names: Sequence[BaselineName],
    with_evidence_last: bool,
    settings: BaselineSettings,
    max_tokens: int,
) -> tuple[list[Arm], list[Tried]]:
    """(means that change a question, those that cannot be tried)."""
    questions = [failure.question for failure in sampled.asked]
    shown = [example.question_id for example in sampled.examples]
    split = Split(targeted=shown, held_out=[], train=shown, validation=[], anchors=[])
    planned: list[Baseline] = []
    skipped = []
    for name in names:
        if name in ("few-shot", "nearest-few-shot") and not sampled.examples:
            skipped.append(Tried(name, NO_EXAMPLES, outcome="not-applicable"))
            continue
        chosen = BaselineSettings((name,), settings.shots, settings.prompt, settings.context_tokens, settings.seed)
        planned += plan_baselines(chosen, questions, split, sampled.examples, max_tokens=max_tokens)
    skipped += [Tried(b.name, b.not_applicable, outcome="not-applicable") for b in planned if b.not_applicable]
    arms: list[Arm] = [(b.name, b.what, b.wordings) for b in planned if not b.not_applicable]
    if with_evidence_last:
        moved = {q.question_id: wording for q in questions if (wording := evidence_last(q))}
        if moved:
            arms.append((EVIDENCE_LAST, "The evidence comes after the question, which is then asked again.", moved))
        else:
            skipped.append(Tried(EVIDENCE_LAST, NO_EVIDENCE, outcome="not-applicable"))
    return arms, skipped


def evidence_last(question: BenchmarkQuestion) -> Wording | None:
    """The question, then its evidence, then the question again; None without evidence in its last turn."""
    *before, last = question.prompt_messages()
    evidence, asked = question.evidence_text, question.question or ""
    if not evidence or not asked or last.role != "user" or evidence not in last.content:
        return None
    rest = last.content.replace(evidence, "").strip()
    content = f"{rest}\n\n{evidence}\n\nThe answer is in the text above. {asked}"
    return Wording((*before, Message(role="user", content=content)))


def _passes(sampled: Sampled, answers: Sequence[Answer]) -> dict[str, bool]:
    """Question id -> whether its answer passes; one that ended in an error does not."""
    failures = {failure.question.question_id: failure for failure in sampled.asked}
    return {answer.question_id: _passed(failures[answer.question_id], answer) for answer in answers}


def _passed(failure: Failure, answer: Answer) -> bool:
    if failure.by_signature is None:
        graded = grade_answer(failure.question, answer)
        return graded is not None and graded.passed is True
    if answer.text is None:
        return False
    line = failure.line.model_copy(
        update={"answer": answer.text, "finish_reason": answer.finish_reason, "tool_calls": None}
    )
    found = line_signature(line, prompt_messages(line))
    return found is None or found.label != failure.by_signature


def _tried(name: str, what: str, passed: Mapping[str, bool], base: Mapping[str, bool], errors: int) -> Tried:
    count = sum(passed.values())
    fixed = sum(passed[each] and not base[each] for each in passed)
    broken = sum(base[each] and not passed[each] for each in passed)
    outcome: Outcome = "no-difference"
    if count >= DOES_IT * len(passed):
        outcome = "does-it"
    elif fixed > broken and mcnemar_exact(fixed, broken) < LEVEL:
        outcome = "helps"
    return Tried(name, what, count, len(passed), errors, fixed, broken, outcome)
