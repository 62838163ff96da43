"""Asks a teacher for each open item of a review, and hands its answers to the curator as they come. Called by `burnish review suggest`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.review import ReviewPrompt, SuggestionGrade, TeacherAnswer
from burnish.schemas.runlog import SuggestionImport
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.forecast import Forecast, forecast, prompt_size_tokens
from burnish_client.evaluation.request import Endpoint, Sampling

SENT_AT_ONCE = 50
EMPTY = "the teacher said nothing"
CUT_OFF = "cut off at {} tokens: raise --max-tokens"
Send = Callable[[Sequence[TeacherAnswer]], SuggestionImport]


@dataclass(frozen=True)
class Teacher:
    """The model that is asked, where it is, and how."""

    endpoint: Endpoint
    model: str
    sampling: Sampling

    @property
    def host(self) -> str:
        """With the port if the URL has one; no user, key or path."""
        return urlsplit(self.endpoint.public_url).netloc


@dataclass(frozen=True)
class Plan:
    """What will be asked. left: prompts that the budget of tokens does not reach; unasked: question id -> why no teacher can be asked it."""

    prompts: list[ReviewPrompt]
    forecast: Forecast
    left: int = 0
    unasked: dict[str, str] = field(default_factory=dict)


@dataclass
class Suggested:
    """What came of it: suggestions by grade, and question id -> why it has none. Tokens as the endpoint counts them."""

    grades: Counter[SuggestionGrade] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def kept(self) -> int:
        return self.grades.total()


def replies_file(home: Path, run_log_id: str, host: str, model: str) -> Path:
    """Where a teacher's replies are until the curator has them all, so that a call that was cut short goes on. home: of the client."""
    key = hashlib.sha256(f"{host}\0{model}".encode()).hexdigest()[:16]
    return home / "suggesting" / f"{run_log_id}-{key}.jsonl"


def plan(prompts: Sequence[ReviewPrompt], teacher: Teacher, out: Path, most_tokens: int | None = None) -> Plan:
    """The prompts in their order, as many as surely cost no more than `most_tokens` (None: all), going in and coming out."""
    asked, spent = [], 0.0
    plain = [prompt for prompt in prompts if not prompt.problem]
    for prompt in plain:
        spent += prompt_size_tokens(prompt.messages) + teacher.sampling.max_tokens
        if most_tokens is not None and spent > most_tokens:
            break
        asked.append(prompt)
    unasked = {prompt.question_id: prompt.problem for prompt in prompts if prompt.problem}
    side = Side(teacher.endpoint, teacher.model, out)
    questions = [_question(prompt) for prompt in asked]
    return Plan(asked, forecast([side], questions, teacher.sampling), len(plain) - len(asked), unasked)


async def ask_teacher(
    planned: Plan, teacher: Teacher, out: Path, send: Send, concurrency: int, progress: ProgressCallback | None = None
) -> Suggested:
    """Ask, and send the answers on, 50 at a time. out: the log of the answers; the same call after a kill asks only what is missing.

    An item whose request finally fails, whose answer is empty or cut off, or which the curator does not take has a problem
    and no suggestion. Raises what `ask_sides` raises, once what was answered until then is sent.
    """
    sender = _Sender(planned.prompts, teacher, send)
    side = Side(teacher.endpoint, teacher.model, out)
    questions = [_question(prompt) for prompt in planned.prompts]
    try:
        (answers,) = await ask_sides(
            [side],
            questions,
            sampling=teacher.sampling,
            concurrency=concurrency,
            progress=progress,
            answered=sender.add,
        )
        for answer in answers:  # those that an earlier call had in its log
            sender.add(answer)
    finally:
        sender.flush()
    return sender.done


class _Sender:
    """Sends answers in groups, each once."""

    def __init__(self, prompts: Sequence[ReviewPrompt], teacher: Teacher, send: Send) -> None:
        self.done = Suggested()
        self._prompts = {prompt.question_id: prompt for prompt in prompts}
        self._teacher, self._send = teacher, send
        self._waiting: list[TeacherAnswer] = []
        self._seen: set[str] = set()

    def add(self, answer: Answer) -> None:
        if answer.question_id in self._seen:
            return
        self._seen.add(answer.question_id)
        self.done.prompt_tokens += answer.prompt_tokens or 0
        self.done.completion_tokens += answer.completion_tokens or 0
        if problem := self._problem(answer):
            self.done.problems[answer.question_id] = problem
            return
        self._waiting.append(self._suggestion(answer))
        if len(self._waiting) >= SENT_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        sent, self._waiting = self._waiting, []
        kept = self._send(sent)
        self.done.grades.update(kept.grades)
        for line in kept.rejected_lines:
            self.done.problems[sent[line.line_number - 1].question_id] = line.reason

    def _problem(self, answer: Answer) -> str | None:
        if answer.text is None:
            return answer.error or EMPTY
        if answer.finish_reason == "length":
            return CUT_OFF.format(self._teacher.sampling.max_tokens)
        return None if answer.text.strip() else EMPTY

    def _suggestion(self, answer: Answer) -> TeacherAnswer:
        prompt, teacher = self._prompts[answer.question_id], self._teacher
        return TeacherAnswer(
            question_id=answer.question_id,
            failure_label=prompt.failure_label,
            text=answer.text or "",
            model=teacher.model,
            host=teacher.host,
            prompt_key=prompt.prompt_key,
            sampling=teacher.endpoint.parameters(teacher.sampling.body(0)),
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )


def _question(prompt: ReviewPrompt) -> BenchmarkQuestion:
    """As something to ask: what is expected is the curator's to know."""
    return BenchmarkQuestion(
        question_id=prompt.question_id,
        messages=prompt.messages,
        expected_answer="a suggestion",
        grader=GraderSpec(name="exact"),
    )
