"""Between answers and run logs: a graded run log out of answers, and answers out of a run log so that none is asked twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from burnish.runlogs import prompt_messages
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.runlog import RunLogLine
from burnish_client.evaluation.answers import Answer
from burnish_client.evaluation.chat import Sampling, prompt_digest, sampling_digest
from burnish_client.evaluation.rows import grade_answer


def make_run_log(questions: Sequence[BenchmarkQuestion], answers: Iterable[Answer], run_id: str) -> list[RunLogLine]:
    """A graded run log line for every answer that can be graded; errors and skips have no grade and are left out.

    grade is `correct` or `incorrect`, failure_label the grader's. Sample i is run `<run_id>-<i>`: asking again is
    another run, so diagnosis sees what repeats. retrieval_hit: the question's evidence_text stands in the prompt (a
    question without evidence_text has all it needs in its prompt). Extra keys `sampling_digest`, see `reuse_run_log`,
    `finish_reason` (`length`: cut off) and `first_token_logprobs`. A judge's questions have no judgement here: no line.
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
        prompt = "\n".join(message.content for message in messages)
        lines.append(
            RunLogLine.model_validate(
                {
                    "run_id": f"{run_id}-{answer.sample}",
                    "question_id": question.question_id,
                    "question": question.question or _last_user_content(question),
                    "system_prompt": "\n".join(m.content for m in messages if m.role == "system"),
                    "messages": messages,
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
                finish_reason=(line.model_extra or {}).get("finish_reason"),
                latency_ms=line.latency_ms,
                first_token_logprobs=(line.model_extra or {}).get("first_token_logprobs"),
            )


def _last_user_content(question: BenchmarkQuestion) -> str:
    return next((m.content for m in reversed(question.prompt_messages()) if m.role == "user"), "")
