"""Teachers' answers as they come in: checked against the run log, and graded by the question's own grader where there is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from burnish.curation.jsonl import read_jsonl, rejected
from burnish.curation.log_grading import LogGrader
from burnish.diagnosis.clusters import RunCodes
from burnish.errors import InvalidInputError
from burnish.grading import grade
from burnish.grading.line_signatures import line_signature
from burnish.runlogs.prompts import prompt_messages
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import message_key, unstorable
from burnish.schemas.review import SUGGESTION_GRADES, SuggestionGrade, TeacherAnswer, TeacherSuggestion
from burnish.schemas.runlog import RejectedLine, RunLogLine

Failures = Mapping[str, Sequence[tuple[str, str, RunLogLine]]]
SAME_AGAIN = "the same as the wrong answer"


def read_answers(
    chunks: Iterable[bytes], log: RunLogReader, codes: RunCodes, grader: LogGrader, at: datetime
) -> tuple[list[TeacherSuggestion], list[RejectedLine]]:
    """Suggestions from JSONL of TeacherAnswer, and the lines that are none: of another question, label or prompt than a failure of the log, or empty.

    grader: as for a line of the run log; an answer that it says nothing of fails if a signature (refusal, cut off, no JSON …) does.
    """
    found = list(read_jsonl(chunks, TeacherAnswer))
    failures = _failures(log, codes, {answer.question_id for _, answer in found if isinstance(answer, TeacherAnswer)})
    suggestions: list[TeacherSuggestion] = []
    refused: list[RejectedLine] = []
    for number, answer in found:
        if isinstance(answer, RejectedLine):
            refused.append(answer)
        elif reason := _refusal(answer, failures):
            refused.append(rejected(number, answer.text.encode(errors="replace"), reason))
        else:
            suggestions.append(_graded(answer, _failure(answer, failures), grader, at))
    return suggestions, refused


def best_first(suggestions: Iterable[TeacherSuggestion]) -> list[TeacherSuggestion]:
    """Those that passed first, those that failed last; of one grade the newest first."""
    rank = {grade: place for place, grade in enumerate(SUGGESTION_GRADES)}
    return sorted(suggestions, key=lambda each: (rank[each.grade], -each.at.timestamp(), each.teacher))


def _failures(log: RunLogReader, codes: RunCodes, question_ids: Iterable[str]) -> Failures:
    """Question id -> (label, key of the prompt, line) of its labelled, model-attributed failures."""
    rows = codes.rows_of(question_ids)
    rows = rows[codes.attributed_R[rows] & (codes.label_R[rows] >= 0)]
    found: dict[str, list[tuple[str, str, RunLogLine]]] = defaultdict(list)
    for line in log.lines(rows):
        found[line.question_id].append((line.failure_label or "", message_key(prompt_messages(line)), line))
    return found


def _failure(answer: TeacherAnswer, failures: Failures) -> RunLogLine:
    wanted = answer.failure_label, answer.prompt_key
    return next(line for label, key, line in failures[answer.question_id] if (label, key) == wanted)


def _refusal(answer: TeacherAnswer, failures: Failures) -> str | None:
    """Why the answer cannot be kept; None if it can."""
    for name in ("question_id", "failure_label", "text", "model"):
        if reason := unstorable(getattr(answer, name)):
            return f"{name}: {reason}"
    if not answer.text.strip():
        return "text: the answer is empty"
    known = failures.get(answer.question_id, ())
    if not known:
        return f"question_id: {answer.question_id!r} has no model-attributed, labelled failure in this run log"
    labels = sorted({label for label, _, _ in known})
    if answer.failure_label not in labels:
        return (
            f"failure_label: {answer.question_id!r} failed as {' and '.join(labels)}, not as {answer.failure_label!r}"
        )
    if (answer.failure_label, answer.prompt_key) not in {(label, key) for label, key, _ in known}:
        return f"prompt_key: {answer.question_id!r} did not fail with this prompt as {answer.failure_label!r}: ask for the prompts again"
    return None


def _graded(answer: TeacherAnswer, line: RunLogLine, grader: LogGrader, at: datetime) -> TeacherSuggestion:
    kept = answer.model_dump() | {"at": at}
    if answer.text.strip() == line.answer.strip():
        return TeacherSuggestion(**kept, grade="failed", grader=None, detail=SAME_AGAIN)
    verdict, rule, detail = next(_verdicts(answer, line, grader), ("ungraded", None, ""))
    return TeacherSuggestion(**kept, grade=verdict, grader=rule, detail=detail)


def _verdicts(
    answer: TeacherAnswer, line: RunLogLine, grader: LogGrader
) -> Iterator[tuple[SuggestionGrade, str | None, str]]:
    """(grade, by what rule, how it fails), the one that counts first."""
    messages = prompt_messages(line)
    own, rule = grader.grader_of(line, messages)
    if own is not None:
        try:
            found = grade(own.spec, answer.text, own.expected_answer)
        except InvalidInputError:
            found = None  # a run log may name a grader that this version does not know
        if found is not None and found.passed is not None:
            detail = "" if found.passed else f"{found.failure_label}: {found.detail}"
            yield "passed" if found.passed else "failed", rule, detail
    told = {"answer": answer.text, "finish_reason": answer.finish_reason, "tool_calls": None, "error": None}
    sign = line_signature(line.model_copy(update=told), messages)
    if sign is not None and sign.is_failure:
        yield "failed", f"signature:{sign.label}", sign.label
