"""What format an answer must have, read off a question's grader: as request parameters of guided decoding, and in words.

A format never holds an answer: of an expected JSON object only field names and JSON types count, taken over all questions
of the slice together; a pattern or schema counts only where questions with different expected answers share it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.digests import canonical_json
from burnish.grading import closed_answers, needs
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec

NOT_FOR_GRAMMARS = re.compile(r"\(\?|\\[bBAZ1-9]")  # look-around, flags, word boundaries, back references
JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
# An expected null says nothing about other answers.
ANY_TYPE = ["string", "number", "boolean", "array", "object", "null"]
INSTRUCTIONS: dict[str, str] = {
    "exact": "Answer with the text that is asked for and nothing else: no sentence around it, no quotes, no code fence.",
    "normalised_exact": "Answer with the text that is asked for and nothing else: no sentence around it.",
    "contains": "Name what is asked for in full, spelt exactly as in the text you were given.",
    "number": "Answer with one number in digits and nothing else.",
    "multiple_choice": "Answer with the letter of one choice and nothing else.",
    "token_f1": "Answer in as few words as possible, in the words of the text you were given.",
}


@dataclass(frozen=True)
class AnswerFormat:
    """parameters: of an OpenAI-compatible request, empty if guided decoding has nothing to go by. instruction: in words, or ''."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    instruction: str = ""


def formats_of(questions: Sequence[BenchmarkQuestion]) -> dict[str, AnswerFormat]:
    """question_id -> format."""
    shared = _Shared(questions)
    return {question.question_id: _format(question, shared) for question in questions}


def choice_of(question: BenchmarkQuestion) -> dict[str, Any]:
    """Request parameters that let the model answer with one of the question's closed answers and nothing else; empty if it has none.

    A choice by log-probability is left out: what the model writes does not count there.
    """
    answers = closed_answers(question.grader) if needs(question.grader) is None else ()
    return {"structured_outputs": {"choice": list(answers)}} if answers else {}


class _Shared:
    """What several questions have in common, so that a format says nothing about one question's answer."""

    def __init__(self, questions: Sequence[BenchmarkQuestion]) -> None:
        self._answers: dict[bytes, set[str]] = defaultdict(set)
        self._objects: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
        for question in questions:
            self._answers[_spelled(question.grader)].add(question.expected_answer.strip())
            if question.grader.name == "json_fields" and (wanted := _object(question.expected_answer)):
                self._objects[_group(question)].append(wanted)

    def is_shared(self, grader: GraderSpec) -> bool:
        """Whether these arguments fit more than one expected answer, so that they cannot give one away."""
        return len(self._answers[_spelled(grader)]) > 1

    def schema(self, question: BenchmarkQuestion) -> dict[str, Any] | None:
        """Field names and types of the question's slice: fields that every expected object has are required."""
        objects = self._objects[_group(question)]
        if not objects:
            return None
        names = list(dict.fromkeys(name for wanted in objects for name in wanted))
        return {
            "type": "object",
            "properties": {name: _type_of([wanted[name] for wanted in objects if name in wanted]) for name in names},
            "required": [name for name in names if all(name in wanted for wanted in objects)],
            "additionalProperties": False,
        }


def _format(question: BenchmarkQuestion, shared: _Shared) -> AnswerFormat:
    grader = question.grader
    if grader.name == "json_fields":
        given = grader.args.get("json_schema")
        schema = given if given and shared.is_shared(grader) else shared.schema(question)
        return AnswerFormat(_json_schema(schema), _object_instruction(schema)) if schema else AnswerFormat()
    if grader.name == "one_of":
        labels = "; ".join(closed_answers(grader))
        return AnswerFormat(instruction=f"Answer with one of these and nothing else: {labels}")
    pattern = grader.args.get("pattern")
    if grader.name == "regex" and pattern and shared.is_shared(grader):
        guidable = not NOT_FOR_GRAMMARS.search(pattern) and not grader.args.get("ignore_case")
        parameters = {"structured_outputs": {"regex": pattern.removeprefix("^").removesuffix("$")}} if guidable else {}
        return AnswerFormat(
            parameters, f"Answer with text that this regular expression matches and nothing else: {pattern}"
        )
    return AnswerFormat(instruction=INSTRUCTIONS.get(grader.name, ""))


def _json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    whole = schema.get("additionalProperties") is False and set(schema.get("properties", {})) == set(
        schema.get("required", [])
    )
    named = {"name": "answer", "schema": schema, "strict": whole}  # OpenAI's strict mode knows no optional field
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _object_instruction(schema: Mapping[str, Any]) -> str:
    whole = "Answer with one JSON object and nothing else: no prose around it, no code fence, no comment."
    fields = [f"{json.dumps(name)} ({_type_words(kind)})" for name, kind in schema.get("properties", {}).items()]
    return f"{whole} Its fields are {', '.join(fields)}, and no others." if fields else whole


def _type_words(kind: Mapping[str, Any]) -> str:
    types = kind.get("type", "any value")
    return types if isinstance(types, str) else " or ".join(types)


def _type_of(values: Sequence[Any]) -> dict[str, Any]:
    types = sorted({JSON_TYPES[type(value)] for value in values if value is not None})
    if len(types) != 1 or None in values:
        return {"type": ANY_TYPE if not types or None in values else types}
    if types == ["array"]:
        items = [item for value in values for item in value]
        return {"type": "array", "items": _type_of(items)} if items else {"type": "array"}
    return {"type": types[0]}


def _object(expected: str) -> dict[str, Any] | None:
    try:
        value = json.loads(expected)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _group(question: BenchmarkQuestion) -> bytes:
    return canonical_json([question.slice, question.grader.args.get("fields")])


def _spelled(grader: GraderSpec) -> bytes:
    return canonical_json(grader.model_dump())
