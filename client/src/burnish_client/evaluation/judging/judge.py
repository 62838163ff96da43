"""Asks a judge model about answers. The judge's replies have a log of their own, so that nothing is asked twice.

Answers of the same text to the same question are judged once. Called by the comparison and by `burnish judge calibrate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from burnish.errors import InvalidInputError
from burnish.grading import Judgement, needs
from burnish.grading.judging.identity import Mode, judge_digest
from burnish.grading.judging.prompt import (
    pair_messages,
    pair_score,
    parse_pair,
    parse_single,
    remind,
    response_format,
    single_messages,
)
from burnish.grading.registry import arguments, ungradable
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish_client.evaluation.asking.answers import Answer, AnswerKey
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.asking.chat import prompt_digest
from burnish_client.evaluation.request import JudgeSettings, Sampling

Judgements = dict[AnswerKey, Judgement]
Questions = Mapping[str, BenchmarkQuestion]
Sides = Sequence[Sequence[Answer]]
T = TypeVar("T")


@dataclass(frozen=True)
class Judged:
    """judgements: one mapping a side. replies: all that the judge said, for its cost; retries included."""

    judgements: list[Judgements]
    replies: list[Answer] = field(default_factory=list)


def judge_digests(questions: Iterable[BenchmarkQuestion], judge_model: str) -> set[str]:
    """The digests that rows of these questions will carry: one for each rubric and mode. Empty: no judge is needed."""
    return {_digest(question, judge_model) for question in questions if needs(question.grader) == "judge"}


async def judge_sides(
    questions: Sequence[BenchmarkQuestion],
    sides: Sides,
    settings: JudgeSettings,
    out: Path,
    progress: ProgressCallback | None = None,
) -> Judged:
    """Judgements of the answers of each side to the questions whose grader is `judge`; others have none.

    sides: base, candidate, then any others. Pairwise questions compare base and candidate, same sample with same sample,
    in both orders; an answer without a partner gets a judgement with a `problem`. out: JSONL of the judge's replies; the
    same call after a kill asks only what is missing. An answer that needs no judge (empty, far too long) is not sent.
    A reply that is not exactly the JSON asked for is asked again once, for the verdict without a reason; then it is a
    problem, never a guess.
    Raises what `ask_sides` raises.
    """
    judged = {q.question_id: q for q in questions if needs(q.grader) == "judge"}
    judge = _Judge(settings, out, progress)
    singles = await _singles({name: q for name, q in judged.items() if _mode(q) == "single"}, sides, judge)
    pairs = await _pairs({name: q for name, q in judged.items() if _mode(q) == "pairwise"}, sides, judge)
    return Judged([{**a, **b} for a, b in zip(singles, pairs, strict=True)], judge.replies)


class _Judge:
    """One judge model, and all that it has said so far."""

    def __init__(self, settings: JudgeSettings, out: Path, progress: ProgressCallback | None) -> None:
        self.model = settings.model
        self.replies: list[Answer] = []
        self._settings, self._progress = settings, progress
        self._side = Side(settings.endpoint, settings.model, out)

    async def ask(self, tasks: Questions, mode: Mode, parse: Callable[..., T]) -> tuple[dict[str, T], dict[str, str]]:
        """(task -> what the judge said, parsed; task -> why there is nothing). Every task is in one of them.

        parse: takes a reply and `bare`, which says that it has no reason; InvalidInputError if it is not what was asked for.
        """
        found: dict[str, T] = {}
        problems: dict[str, str] = {}
        waiting = list(tasks.values())
        for bare in (False, True):
            if not waiting:
                break
            sampling = Sampling(self._settings.max_tokens, extra={"response_format": response_format(mode, bare=bare)})
            (answers,) = await ask_sides(
                [self._side],
                waiting,
                sampling=sampling,
                concurrency=self._settings.concurrency,
                progress=self._progress,
            )
            self.replies.extend(answers)
            unparsed = []
            for task, answer in zip(waiting, answers, strict=True):
                if answer.text is None:
                    problems[task.question_id] = f"the request failed: {answer.error}"
                    continue
                try:
                    found[task.question_id] = parse(answer.text, bare=bare)
                    problems.pop(task.question_id, None)
                except InvalidInputError as error:
                    problems[task.question_id] = error.message
                    unparsed.append(task.model_copy(update={"messages": remind(task.prompt_messages(), mode)}))
            waiting = unparsed
        return found, problems


async def _singles(questions: Questions, sides: Sides, judge: _Judge) -> list[Judgements]:
    asked: dict[str, BenchmarkQuestion] = {}
    tasks: list[dict[AnswerKey, tuple[str, str]]] = []
    for side in sides:
        tasks.append({})
        for answer in side:
            question = questions.get(answer.question_id)
            if question is None or not _worth_judging(question, answer):
                continue
            messages = single_messages(
                question.prompt_messages(), question.expected_answer, answer.text or "", _rubric(question)
            )
            task = _task(question.question_id, messages)
            asked[task.question_id] = task
            tasks[-1][answer.key] = (task.question_id, _digest(question, judge.model))
    said, problems = await judge.ask(asked, "single", parse_single)

    def judgement(task: str, digest: str) -> Judgement:
        if task in problems:
            return Judgement(digest, None, problem=problems[task])
        passed, reason = said[task]
        return Judgement(digest, 1.0 if passed else 0.0, reason)

    return [{key: judgement(*task) for key, task in side.items()} for side in tasks]


async def _pairs(questions: Questions, sides: Sides, judge: _Judge) -> list[Judgements]:
    alone = "a pairwise judge compares base and candidate: the other side has no such answer"
    digests = {name: _digest(question, judge.model) for name, question in questions.items()}
    found: list[Judgements] = [
        {
            answer.key: Judgement(digests[answer.question_id], None, problem=alone)
            for answer in side
            if answer.question_id in questions
        }
        for side in sides
    ]
    asked: dict[str, BenchmarkQuestion] = {}
    tasks: list[tuple[Answer, Answer, str, str]] = []
    for base, candidate in _partners(questions, sides):
        question = questions[base.question_id]
        worth = [_worth_judging(question, answer) for answer in (base, candidate)]
        if not all(worth):
            # The one that can be judged is better than an empty or endless one, which fails by itself.
            for side, answer in enumerate((base, candidate)):
                if worth[side]:
                    reason = "the other side's answer is empty or too long"
                    found[side][answer.key] = Judgement(digests[base.question_id], 1.0, reason)
            continue
        prompt, rubric = question.prompt_messages(), _rubric(question)
        texts = (candidate.text or "", base.text or "")
        orders = [
            _task(question.question_id, pair_messages(prompt, question.expected_answer, first, second, rubric))
            for first, second in (texts, texts[::-1])
        ]
        asked.update({task.question_id: task for task in orders})
        tasks.append((base, candidate, orders[0].question_id, orders[1].question_id))
    said, problems = await judge.ask(asked, "pairwise", parse_pair)
    for base, candidate, first, second in tasks:
        digest = digests[base.question_id]
        problem = problems.get(first) or problems.get(second)
        if problem:
            found[0][base.key] = found[1][candidate.key] = Judgement(digest, None, problem=problem)
            continue
        score = pair_score(said[first][0], said[second][0])
        reason = f"candidate first: {said[first][1]} / base first: {said[second][1]}"
        found[0][base.key] = Judgement(digest, 1.0 - score, reason)
        found[1][candidate.key] = Judgement(digest, score, reason)
    return found


def _partners(questions: Questions, sides: Sides) -> list[tuple[Answer, Answer]]:
    """(base, candidate) of the same question and sample, if both answered."""
    if len(sides) < 2:
        return []
    base, candidate = (
        {(a.question_id, a.sample): a for a in side if a.question_id in questions and a.text is not None}
        for side in sides[:2]
    )
    return [(base[key], candidate[key]) for key in base if key in candidate]


def _task(question_id: str, messages: Sequence[Message]) -> BenchmarkQuestion:
    """A judgement as something to ask: named after the question it is about and what is sent."""
    return BenchmarkQuestion(
        question_id=f"{question_id}:{prompt_digest(list(messages))[:16]}",
        messages=list(messages),
        expected_answer="a judgement",
        grader=GraderSpec(name="exact"),
    )


def _worth_judging(question: BenchmarkQuestion, answer: Answer) -> bool:
    return answer.text is not None and ungradable(answer.text, question.expected_answer) is None


def _rubric(question: BenchmarkQuestion) -> str:
    return str(arguments(question.grader)["rubric"])


def _mode(question: BenchmarkQuestion) -> Mode:
    mode: Mode = arguments(question.grader)["mode"]
    return mode


def _digest(question: BenchmarkQuestion, judge_model: str) -> str:
    return judge_digest(judge_model, _rubric(question), _mode(question))
