"""Grades for the lines of a run log that have none: by a benchmark, by a grader, by signatures. Pure; called by `burnish runs grade`.

What has a grade keeps it. A failure without a label gets the label that a grader or a signature finds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.curation.own_grader import OwnGrader, logged_grader
from burnish.errors import InvalidInputError
from burnish.grading import grade
from burnish.grading.json_schema.check import check_schema
from burnish.grading.line_signatures import line_signature
from burnish.runlogs.identity import run_key
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.base import Message, message_key, spoken_key
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.runlog import FAILING_GRADES, GradedBy, RunLogLine

CODE = "code"


@dataclass(frozen=True)
class LogGrader:
    """questions: a benchmark's; a line is one of them if it has its id or asks the same. spec: a grader for lines with an expected answer.

    expects_json: None if the instructions of each line decide. schema: of every answer. judged: run_key of a line -> whether it
    passes, its label if not, and who says so; for lines that nothing else grades.
    """

    questions: tuple[BenchmarkQuestion, ...] = ()
    spec: GraderSpec | None = None
    signatures: bool = True
    expects_json: bool | None = None
    schema: dict[str, Any] | None = None
    judged: Mapping[str, tuple[bool, str | None, GradedBy]] = field(default_factory=dict)
    _by_id: dict[str, BenchmarkQuestion] = field(init=False, repr=False)
    _by_key: dict[str, BenchmarkQuestion] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {q.question_id: q for q in self.questions})
        object.__setattr__(self, "_by_key", {spoken_key(q.prompt_messages()): q for q in self.questions})

    def graded(self, line: RunLogLine) -> tuple[RunLogLine, str | None]:
        """(the line, with what was found; the rule that found it, or None if it is as it was)."""
        fails = line.grade is not None and line.grade.strip().casefold() in FAILING_GRADES
        if line.grade is not None and not (fails and not (line.failure_label or "").strip()):
            return line, None
        messages = prompt_messages(line)
        own, rule = self.grader_of(line, messages)
        if own is not None:
            try:
                found = grade(own.spec, line.answer, own.expected_answer)
            except InvalidInputError:
                found = None  # a run log may name a grader that this version does not know
            if found is not None and found.passed is not None and (line.grade is None or not found.passed):
                word = "correct" if found.passed else "incorrect"
                expected = {"expected_answer": own.expected_answer}
                return _changed(line, word, found.failure_label, rule, expected), rule
        sign = (
            line_signature(line, messages, expects_json=self.expects_json, schema=self.schema)
            if self.signatures
            else None
        )
        if sign is None:
            return self._judged(line)
        return _changed(
            line, "incorrect" if sign.is_failure else None, sign.label, f"signature:{sign.label}"
        ), f"signature:{sign.label}"

    def _judged(self, line: RunLogLine) -> tuple[RunLogLine, str | None]:
        said = self.judged.get(run_key(line)) if line.grade is None and self.judged else None
        if said is None:
            return line, None
        passes, label, by = said
        update = {"grade": "correct" if passes else "incorrect", "graded_by": by}
        return line.model_copy(update=update | ({} if passes else {"failure_label": label})), by.rule

    def grader_of(self, line: RunLogLine, messages: list[Message]) -> tuple[OwnGrader | None, str]:
        """(how an answer to this line is graded, or None; the rule that says so): the benchmark goes before the line, and that before `spec`."""
        question = self._by_id.get(line.question_id) or (
            self._by_key.get(spoken_key(messages)) if self._by_key else None
        )
        if question is not None:
            return OwnGrader(question.grader, question.expected_answer), f"benchmark:{question.grader.name}"
        logged = logged_grader(line.model_extra, line.expected_answer)
        if logged is not None:
            return logged, f"grader:{logged.spec.name}"
        if self.spec is not None and line.expected_answer:
            return OwnGrader(self.spec, line.expected_answer), f"grader:{self.spec.name}"
        return None, ""

    @property
    def key(self) -> str:
        """Digest of the rules: the same ones give a log the same grades."""
        questions = "".join(question.model_dump_json() for question in self.questions)
        rules = f"{self.spec.model_dump_json() if self.spec else ''}{self.signatures}{self.expects_json}{self.schema}{sorted(self.judged)}"
        return message_key([Message(role="user", content=questions + rules)])[:16]


def read_schema(file: Path) -> dict[str, Any]:
    """InvalidInputError if the file is no JSON schema, or one that could not be checked in bounds."""
    try:
        schema = json.loads(file.read_bytes())
    except ValueError as error:
        raise InvalidInputError(f"{file} is no JSON: {error}", file=file) from error
    if not isinstance(schema, dict):
        raise InvalidInputError(f"{file}: a schema is a JSON object", file=file)
    check_schema(schema)
    return schema


def _changed(
    line: RunLogLine, word: str | None, label: str | None, rule: str, more: Mapping[str, Any] | None = None
) -> RunLogLine:
    update: dict[str, Any] = {"failure_label": label if word != "correct" else line.failure_label}
    if line.grade is None and word is not None:
        update |= {"grade": word, "graded_by": GradedBy(source=CODE, rule=rule)} | dict(more or {})
    return line.model_copy(update=update)
