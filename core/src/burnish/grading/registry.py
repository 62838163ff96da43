"""What a grade is, how a grader is registered, and the one function that grades every answer."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from burnish.caches import SizedCache
from burnish.errors import InvalidInputError, validation_problems
from burnish.grading.evidence import NO_EVIDENCE, Evidence
from burnish.grading.reading.refusal import is_refusal
from burnish.grading.text import visible
from burnish.schemas.benchmark import GraderSpec

MAX_ANSWER_CHARACTERS = 1_000_000
EMPTY_ANSWER, TOO_LONG, REFUSAL = "empty-answer", "too-long", "refusal"


@dataclass(frozen=True)
class Grade:
    """What a grader says of one answer.

    passed and score (0…1) are None exactly where skipped_reason is set: a skip is not a zero. failure_label is a short
    kebab-case name of the way it failed, set exactly where passed is False. detail is for people.
    """

    passed: bool | None
    score: float | None
    failure_label: str | None = None
    skipped_reason: str | None = None
    detail: str = ""


def passing(detail: str = "", score: float = 1.0) -> Grade:
    return Grade(passed=True, score=score, detail=detail)


def failing(failure_label: str, detail: str = "", score: float = 0.0) -> Grade:
    return Grade(passed=False, score=score, failure_label=failure_label, detail=detail)


def skipping(reason: str) -> Grade:
    return Grade(passed=None, score=None, skipped_reason=reason)


GraderFunction = Callable[..., Grade]


@dataclass(frozen=True)
class _Registered:
    """takes_evidence: the function has a third positional parameter, the Evidence. check: of what only this grader can judge."""

    function: GraderFunction
    args_model: type[BaseModel]
    takes_evidence: bool
    check: Callable[..., None] | None


_registry: dict[str, _Registered] = {}
LONGEST_ARGUMENTS = 256 * 1024  # characters of JSON
CACHED_CHARACTERS = 4 * 1024 * 1024
LEAST_CHARACTERS = 1024  # what an entry without arguments takes
_arguments_cache: SizedCache[dict[str, Any]] = SizedCache(CACHED_CHARACTERS)


def grader(function: GraderFunction, check: Callable[..., None] | None = None) -> GraderFunction:
    """Register `function(answer, expected[, evidence], *, args…) -> Grade` under its own name; keyword-only parameters are its args.

    check(expected, **args) raises InvalidInputError for what the function would raise it for, whatever the answer.
    """
    parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    args_model = create_model(function.__name__, __config__=config, **fields)
    takes_evidence = len(parameters) - len(fields) == 3
    _registry[function.__name__] = _Registered(function, args_model, takes_evidence, check)
    return function


def names() -> list[str]:
    """Every registered grader, sorted."""
    return sorted(_registry)


def describe(name: str) -> str:
    """The grader's first docstring line and its arguments with defaults, for `--help` and error messages."""
    registered = _lookup(name)
    summary = (inspect.getdoc(registered.function) or "").split("\n")[0]
    return f"{name}({_arguments(registered)}): {summary}"


def check(spec: GraderSpec, expected: str) -> None:
    """Raise InvalidInputError where no answer could be graded: no such grader, arguments that it does not take, a broken pattern."""
    args = _arguments_of(spec)
    of_grader = _lookup(spec.name).check
    if of_grader is not None:
        of_grader(expected, **args)


def arguments(spec: GraderSpec) -> dict[str, Any]:
    """The spec's arguments, checked, defaults filled in. Raises InvalidInputError as `check` does."""
    return dict(_arguments_of(spec))


def grade(spec: GraderSpec, answer: str, expected: str, evidence: Evidence = NO_EVIDENCE) -> Grade:
    """Grade one answer.

    The same for every grader: an empty answer (nothing visible in it) fails as `empty-answer`, unless its first token's
    log-probabilities are known; one over a million characters as `too-long`; a failing answer that opens like a refusal
    is labelled `refusal`. An empty `expected` is skipped: anything contains it.
    Raises InvalidInputError for an unknown grader or bad arguments.
    """
    args = _arguments_of(spec)
    early = ungradable(answer, expected, evidence)
    if early is not None:
        return early
    registered = _lookup(spec.name)
    given = (answer, expected, evidence) if registered.takes_evidence else (answer, expected)
    result = registered.function(*given, **args)
    if result.passed is False and is_refusal(answer):
        return failing(REFUSAL, f"the model refused ({result.failure_label})", score=result.score or 0.0)
    return result


def ungradable(answer: str, expected: str, evidence: Evidence = NO_EVIDENCE) -> Grade | None:
    """The grade that no grader is needed for (nothing expected, nothing answered, far too much answered), or None."""
    if not visible(expected).strip():
        return skipping("the expected answer is empty")
    if len(answer) > MAX_ANSWER_CHARACTERS:
        return failing(TOO_LONG, f"the answer has {len(answer)} characters; at most {MAX_ANSWER_CHARACTERS} are graded")
    if not visible(answer).strip() and evidence.first_token_logprobs is None:
        return failing(EMPTY_ANSWER, "the answer is empty")
    return None


def _lookup(name: str) -> _Registered:
    if name not in _registry:
        raise InvalidInputError(f"grader {name!r} does not exist: use one of {', '.join(names())}", field="grader.name")
    return _registry[name]


def _arguments_of(spec: GraderSpec) -> dict[str, Any]:
    # Not orjson, which writes no integer of more than 64 bits and no single surrogate: what is wrong is the model's to say.
    args_json = json.dumps(spec.args, sort_keys=True)
    if len(args_json) > LONGEST_ARGUMENTS:
        raise InvalidInputError(
            f"grader {spec.name!r}: its arguments have {len(args_json)} characters as JSON, and {LONGEST_ARGUMENTS} are the most",
            field="grader.args",
        )
    key = spec.name, args_json
    return _arguments_cache.get(key, lambda: _validated(*key), lambda _: len(args_json) + LEAST_CHARACTERS)


def _validated(name: str, args_json: str) -> dict[str, Any]:
    """Checked arguments; cached, since a benchmark repeats few specs over many questions."""
    registered = _lookup(name)
    try:
        model = registered.args_model.model_validate_json(args_json)
    except ValidationError as error:
        problems = validation_problems(error)
        raise InvalidInputError(
            f"grader {name!r}: {problems}. It takes: {_arguments(registered) or 'no arguments'}", field="grader.args"
        ) from error
    return {field: getattr(model, field) for field in type(model).model_fields}


def _arguments(registered: _Registered) -> str:
    parameters = inspect.signature(registered.function).parameters.values()
    return ", ".join(
        f"{p.name}: {p.annotation}" + ("" if p.default is inspect.Parameter.empty else f" = {p.default!r}")
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    )
