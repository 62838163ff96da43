"""The demo's benchmark: questions that a code assistant is asked about functions of the standard library, with graders.

Each question shows one function as evidence; its known-good answer comes from `ast`. A slice is a kind of question.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.digests import prompt_key
from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish_client.demo.stdlib_functions import Function, sample_functions, standard_library

SYSTEM_PROMPT = "You are a code assistant. Answer in one short sentence."
TARGET_WEIGHT = 8
WHOLE_WORDS = GraderSpec(name="contains", args={"case_sensitive": True, "whole_words": True})


@dataclass(frozen=True)
class Slice:
    """A kind of question. accepts: functions it can be asked of; answer: the known-good answer."""

    name: str
    question: Callable[[Function], str]
    answer: Callable[[Function], str]
    accepts: Callable[[Function], bool]
    grader: GraderSpec = WHOLE_WORDS
    max_tokens: int = 40
    weight: int = 3  # share of the benchmark, relative to the other slices


def signature_answer(function: Function) -> str:
    return json.dumps({"file": function.file, "symbol": function.name, "parameters": list(function.parameters)})


def file_name(function: Function) -> str:
    return function.file.rpartition("/")[2]


def default_value(function: Function) -> str:
    """Default of the first parameter that has one; a string's text without quotes."""
    return function.defaults[0][1].strip("'\"")


SLICES: tuple[Slice, ...] = (
    Slice(
        name="signature-json",
        question=lambda f: 'Answer only with JSON: "file" (path), "symbol" (name) and "parameters" (list of names).',
        answer=signature_answer,
        accepts=lambda f: 2 <= len(f.parameters) <= 4 and not f.is_special and not f.has_stars,
        grader=GraderSpec(name="json_fields"),
        max_tokens=64,
        weight=TARGET_WEIGHT,
    ),
    Slice(
        name="function-name",
        question=lambda f: "Which function is defined here?",
        answer=lambda f: f.name,
        accepts=lambda f: not f.is_special,
    ),
    Slice(
        name="class-of-method",
        question=lambda f: "Which class does this method belong to?",
        answer=lambda f: f.symbol.rpartition(".")[0],
        accepts=lambda f: "." in f.symbol,
    ),
    Slice(
        name="file-name",
        question=lambda f: "What is the file called?",
        answer=file_name,
        accepts=lambda f: file_name(f) != "__init__.py",
    ),
    Slice(
        name="default-value",
        question=lambda f: f"Which value does {f.defaults[0][0]} have by default?",
        answer=default_value,
        accepts=lambda f: len(f.defaults) == 1 and 2 <= len(default_value(f)) <= 20 and default_value(f) != "...",
    ),
)


def generate(
    seed: int, size: int = 280, library: Path | None = None, target_weight: int = TARGET_WEIGHT
) -> list[BenchmarkQuestion]:
    """`size` questions over all SLICES, each about another function; the same arguments and library give the same list.

    target_weight: share of the slice that small models fail, relative to the others' 3.
    Raises InvalidInputError if the library has too few short functions for the size.
    """
    rng = random.Random(seed)
    wanted = quotas(size, target_weight)
    chosen: dict[str, list[BenchmarkQuestion]] = {kind.name: [] for kind in SLICES}
    prompts: set[str] = set()
    for function in sample_functions(rng, library or standard_library()):
        kind = _neediest(function, wanted, chosen)
        if kind is None:
            continue
        question = ask_about(function, kind)
        key = prompt_key(message.model_dump() for message in question.prompt_messages())
        if key not in prompts:
            prompts.add(key)
            chosen[kind.name].append(question)
        if all(len(chosen[name]) == number for name, number in wanted.items()):
            questions = [question for found in chosen.values() for question in found]
            rng.shuffle(questions)
            return questions
    found = ", ".join(f"{len(chosen[name])} of {number} {name}" for name, number in wanted.items())
    raise InvalidInputError(
        f"the standard library has too few short functions for {size} questions ({found}): ask for fewer"
    )


def quotas(size: int, target_weight: int = TARGET_WEIGHT) -> dict[str, int]:
    """Questions of each slice, by weight; the first slice gets what rounding leaves over. At least one each."""
    weights = {kind.name: kind.weight for kind in SLICES} | {SLICES[0].name: target_weight}
    total = sum(weights.values())
    wanted = {name: size * weight // total for name, weight in weights.items()}
    if min(wanted.values()) < 1:
        raise InvalidInputError(
            f"{size} questions are too few for {len(SLICES)} slices: ask for {total} or more", field="size"
        )
    wanted[SLICES[0].name] += size - sum(wanted.values())
    return wanted


def _neediest(
    function: Function, wanted: Mapping[str, int], chosen: Mapping[str, list[BenchmarkQuestion]]
) -> Slice | None:
    """Of the slices that accept the function, the one with the least of its share so far; None if all are full."""
    open_slices = [k for k in SLICES if len(chosen[k.name]) < wanted[k.name] and k.accepts(function)]
    return min(open_slices, key=lambda k: len(chosen[k.name]) / wanted[k.name], default=None)


def ask_about(function: Function, kind: Slice) -> BenchmarkQuestion:
    """The question of one slice about one function."""
    text = kind.question(function)
    return BenchmarkQuestion(
        question_id=f"{kind.name}:{function.file}:{function.symbol}",
        messages=[
            Message(role="system", content=SYSTEM_PROMPT),
            Message(role="user", content=f"{function.evidence}\n\n{text}"),
        ],
        expected_answer=kind.answer(function),
        grader=kind.grader,
        slice=kind.name,
        max_tokens=kind.max_tokens,
        question=text,
        evidence_text=function.evidence,
        evidence_files=[function.file],
        cluster=f"{function.file}:{function.symbol}",  # the model is shown one function, not the file
    )
