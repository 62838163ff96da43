"""Graded answers: as rows of an eval, as lines of a run log, and back from a run log, so that nothing is asked twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from burnish.errors import InvalidInputError
from burnish.grading import Evidence, Grade, Judgement, chance, check, grade, needs
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import Split
from burnish.schemas.evaluation import EvalRow
from burnish.schemas.runlog import RunLogLine
from burnish_client.evaluation.asking.answers import Answer, AnswerKey
from burnish_client.evaluation.asking.chat import prompt_digest, sampling_digest
from burnish_client.evaluation.request import Sampling

NO_JUDGEMENTS: Mapping[AnswerKey, Judgement] = {}


def check_questions(questions: Iterable[BenchmarkQuestion]) -> None:
    """Grade each question's own expected answer, before anything is asked.

    Raises InvalidInputError, naming the question, for an unknown grader, bad arguments, or an expected answer that
    cannot be graded or (regex aside, whose pattern may be the expected answer) would itself be marked wrong. What needs
    the endpoint is checked without it: a choice by log-probability as if its expected token were certain, a judge not.
    """
    for question in questions:
        try:
            result = _grade_expected(question)
        except InvalidInputError as error:
            raise InvalidInputError(
                f"question {question.question_id!r}: {error.message}", question_id=question.question_id
            ) from error
        if result.skipped_reason or (result.passed is False and question.grader.name != "regex"):
            why = result.skipped_reason or f"{result.failure_label}: {result.detail}"
            raise InvalidInputError(
                f"question {question.question_id!r}: its own expected answer does not pass {question.grader.name!r} ({why}): correct one of them",
                question_id=question.question_id,
            )


def _grade_expected(question: BenchmarkQuestion) -> Grade:
    spec, expected = question.grader, question.expected_answer
    check(spec, expected)
    needed = needs(spec)
    if needed == "logprobs":
        grade(spec, expected, expected)  # raises for missing choices
        spec = spec.model_copy(update={"args": {**spec.args, "by": "text"}})
    judgement = Judgement(judge="", score=1.0) if needed == "judge" else None
    return grade(spec, expected, expected, Evidence(judgement=judgement))


def eval_rows(
    questions: Sequence[BenchmarkQuestion],
    answers: Iterable[Answer],
    split: Split | None,
    judgements: Mapping[AnswerKey, Judgement] = NO_JUDGEMENTS,
) -> list[EvalRow]:
    """Grade answers into rows, in the order of the answers.

    split: the dataset's. targeted = split.targeted; held_out = no training row (correction in train or validation, or
    anchor) came from the question. Without a split nothing is targeted and everything held out. judgements: answer's key ->
    what the judge said of it (see `judge_sides`); a judge's question without one is a skip. Raises InvalidInputError for an
    answer to a question that is not among `questions`.
    """
    cluster_of = question_clusters(questions)
    by_id: Mapping[str, BenchmarkQuestion] = {question.question_id: question for question in questions}
    targeted = set(split.targeted) if split else set()
    trained = {*split.train, *split.validation, *split.anchors} if split else set()
    rows = []
    for answer in answers:
        if answer.question_id not in by_id:
            raise InvalidInputError(
                f"answer to {answer.question_id!r}, which is not in the benchmark", question_id=answer.question_id
            )
        question = by_id[answer.question_id]
        judgement = judgements.get(answer.key)
        graded = grade_answer(question, answer, judgement)
        rows.append(
            EvalRow(
                question_id=question.question_id,
                sample=answer.sample,
                slice=question.slice,
                targeted=question.question_id in targeted,
                held_out=question.question_id not in trained,
                passed=graded.passed if graded else None,
                score=graded.score if graded else None,
                skipped_reason=graded.skipped_reason if graded else None,
                failure_label=graded.failure_label if graded else None,
                answer=answer.text,
                latency_ms=answer.latency_ms,
                error=answer.error,
                cluster=cluster_of[question.question_id],
                grader=question.grader.name,
                judge=judgement.judge if judgement else None,
                chance=chance(question.grader),
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
            )
        )
    return rows


def grade_answer(question: BenchmarkQuestion, answer: Answer, judgement: Judgement | None = None) -> Grade | None:
    """The grade, or None if there is no answer to grade (it ended in an error)."""
    if answer.text is None:
        return None
    evidence = Evidence(answer.first_token_logprobs, judgement)
    return grade(question.grader, answer.text, question.expected_answer, evidence)


def question_clusters(questions: Sequence[BenchmarkQuestion]) -> dict[str, str | None]:
    """question_id -> its cluster: questions of one cluster are not independent of each other.

    The question's own `cluster` if it has one. The others are joined by the evidence files they share, also by way of
    a third question, and named after the first such file in alphabetical order. None: it has no file either and stands alone.
    """
    files_of = {q.question_id: q.evidence_files for q in questions if q.cluster is None}
    root = {file: file for files in files_of.values() for file in files}

    def find(file: str) -> str:
        while root[file] != file:
            root[file] = root[root[file]]
            file = root[file]
        return file

    for files in files_of.values():
        roots = sorted({find(file) for file in files})
        root.update(dict.fromkeys(roots[1:], roots[0]) if roots else {})
    by_files = {question_id: f"file:{find(files[0])}" if files else None for question_id, files in files_of.items()}
    return {q.question_id: q.cluster if q.cluster is not None else by_files[q.question_id] for q in questions}


def make_run_log(questions: Sequence[BenchmarkQuestion], answers: Iterable[Answer], run_id: str) -> list[RunLogLine]:
    """A graded run log line for every answer that can be graded; errors and skips have no grade and are left out.

    grade is `correct` or `incorrect`, failure_label the grader's. Sample i is run `<run_id>-<i>`: asking again is
    another run, so diagnosis sees what repeats. retrieval_hit: the question's evidence_text is in the prompt (a
    question without evidence_text has all it needs in its prompt). Extra keys `sampling_digest`, see `reuse_run_log`,
    `finish_reason` (`length`: cut off), `first_token_logprobs`, and `grader`, by which corrections are checked. A judge's questions have no judgement here: no line.
    """
    by_id = {question.question_id: question for question in questions}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    lines = []
    for answer in answers:
        question = by_id[answer.question_id]
        graded = grade_answer(question, answer)
        if graded is None or graded.passed is None:
            continue
        messages = question.prompt_messages()
        users = [""] + [m.content for m in messages if m.role == "user"]
        prompt = "\n".join(message.content for message in messages)
        lines.append(
            RunLogLine.model_validate(
                {
                    "run_id": f"{run_id}-{answer.sample}",
                    "question_id": question.question_id,
                    "question": question.question or users[-1],
                    "system_prompt": "\n".join(m.content for m in messages if m.role == "system"),
                    "messages": [message.model_dump() for message in messages],
                    "evidence_text": question.evidence_text,
                    "evidence_files": question.evidence_files,
                    "answer": answer.text,
                    "expected_answer": question.expected_answer,
                    "retrieval_hit": question.evidence_text in prompt,
                    "grade": "correct" if graded.passed else "incorrect",
                    "failure_label": graded.failure_label,
                    "slice": question.slice,
                    "model": answer.model,
                    "timestamp": now,
                    "latency_ms": answer.latency_ms,
                    "sampling_digest": answer.sampling_digest,
                    "finish_reason": answer.finish_reason,
                    "first_token_logprobs": answer.first_token_logprobs,
                    "grader": question.grader.model_dump(),
                }
            )
        )
    return lines


def reuse_run_log(
    lines: Iterable[RunLogLine], questions: Sequence[BenchmarkQuestion], model: str, sampling: Sampling, samples: int
) -> tuple[Answer, ...]:
    """The run log's answers of `model` to these questions, as answers that need not be asked again.

    A line is used only if its model is `model`, its prompt is the question's to the character, and its
    `sampling_digest` is what the sample would be asked with now. A log from elsewhere has no digest and is taken at its
    word: its lines are samples 0, 1, … in the log's order.
    """
    lines_of: dict[str, list[RunLogLine]] = defaultdict(list)
    for line in lines:
        if line.model == model:
            lines_of[line.question_id].append(line)
    return tuple(answer for question in questions for answer in _reused(question, lines_of, model, sampling, samples))


def _reused(
    question: BenchmarkQuestion, lines_of: dict[str, list[RunLogLine]], model: str, sampling: Sampling, samples: int
) -> Iterable[Answer]:
    prompt = prompt_digest(question.prompt_messages())
    by_digest: dict[str | None, list[RunLogLine]] = defaultdict(list)
    for line in lines_of[question.question_id]:
        if prompt_digest(prompt_messages(line)) == prompt:
            by_digest[(line.model_extra or {}).get("sampling_digest")].append(line)
    for sample in range(samples):
        digest = sampling_digest(sampling.of(question, sample))
        source = by_digest[digest] or by_digest[None]
        if source:
            line = source.pop(0)
            yield Answer(
                model=model,
                question_id=question.question_id,
                sample=sample,
                prompt_digest=prompt,
                sampling_digest=digest,
                text=line.answer,
                finish_reason=line.finish_reason,
                latency_ms=line.latency_ms,
                first_token_logprobs=(line.model_extra or {}).get("first_token_logprobs"),
            )
