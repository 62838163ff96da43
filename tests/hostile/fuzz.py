"""Part 5: hypothesis over the code that reads what strangers wrote, for so many seconds. Nothing but a BurnishError may come out of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson
from hostile import trace_fuzz
from hostile.figures import Figure, counted
from hostile.inference_calls import PARAMETERS, PLAUSIBLE
from hostile.values import as_json, json_values, raw_bytes, texts
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from burnish import grading, layout
from burnish.curation.benchmarks.building import build_benchmark
from burnish.curation.review.reading import read_review
from burnish.errors import BurnishError
from burnish.objectstores.manifests import read_listing, read_manifest
from burnish.objectstores.memory import MemoryObjectStore
from burnish.registry.aliases import AliasRegistry
from burnish.registry.manifests import read_evals
from burnish.runlogs.ingestion import ingest
from burnish.runlogs.reader import RunLogReader
from burnish.runlogs.storage import files_of
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Manifest
from burnish.schemas.benchmark import BenchmarkManifest, GraderSpec
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.runlog import RunLogManifest
from burnish_inference.api.endpoints import parse_payload
from burnish_inference.limits import CHAT, STANDARD

EXAMPLES_AT_ONCE = 100
Drawn = TypeVar("Drawn")
Target = tuple[st.SearchStrategy[Any], Callable[[Any], None]]

# An object with some fields of the right name, each of the right kind or of none.
RUN_LOG_FIELDS = (
    "question_id", "question", "system_prompt", "evidence_text", "evidence_files", "answer", "retrieval_hit", "grade", "failure_label",
    "run_id", "messages", "expected_answer", "slice", "model", "timestamp", "latency_ms", "grader", "extra",
)  # fmt: skip
GOOD_LINE = {"question_id": "q", "question": "?", "answer": "a", "retrieval_hit": True, "grade": "wrong"}
QUESTION_FIELDS = (
    "question_id",
    "prompt",
    "messages",
    "expected_answer",
    "grader",
    "slice",
    "max_tokens",
    "evidence_files",
    "cluster",
    "extra",
)
GOOD_QUESTION = {"question_id": "q", "prompt": "?", "expected_answer": "a", "grader": {"name": "exact"}}
REVIEW_FIELDS = (
    "question_id",
    "question",
    "original_answer",
    "failure_label",
    "corrected_output",
    "slice",
    "expected_answer",
)
PATTERNS = (
    st.sampled_from(
        [
            "(",
            "(a+)+$",
            "a{99999}",
            "(?P<x>a)(?P=x)",
            "\\",
            "(?i)",
            "[z-a]",
            "(?<=a*)b",
            "(?:(?:a?){50}){50}",
            ".*" * 30,
            "\\ud800",
        ]
    )
    | texts
)
SCHEMA_WORDS = ("type", "properties", "items", "$ref", "$defs", "anyOf", "allOf", "not", "enum", "const", "pattern", "minimum", "multipleOf", "format",
    "required", "additionalProperties", "patternProperties", "uniqueItems", "$id", "$schema", "if", "dependentSchemas", "prefixItems", "$dynamicRef")  # fmt: skip
SCHEMAS = st.recursive(
    st.sampled_from(["string", "object", "#", "#/$defs/a", "http://x/y", "(", "date"]) | json_values,
    lambda inner: st.dictionaries(st.sampled_from(SCHEMA_WORDS), inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=10,
)
ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "fields": st.dictionaries(texts, st.sampled_from(["exact", "number", "text", "ignore"]) | json_values, max_size=3),
    "json_schema": SCHEMAS, "strict": st.booleans(), "rubric": json_values, "choices": st.dictionaries(st.sampled_from("ABCDÄ1"), texts, max_size=5) | json_values,
    "by": st.sampled_from(["text", "logprob"]), "tolerance": st.floats(), "relative_tolerance": st.floats(), "pick": st.sampled_from(["stated", "first", "last", "only"]),
    "labels": st.lists(texts, max_size=5) | json_values, "pattern": PATTERNS, "full_match": st.booleans(), "ignore_case": st.booleans(), "threshold": st.floats(),
    "case_sensitive": st.booleans(), "whole_words": st.booleans(), "strip": st.booleans(),
}  # fmt: skip
TAKES = {
    "contains": ("case_sensitive", "whole_words"), "exact": ("strip",), "json_fields": ("fields", "json_schema", "strict"), "judge": ("rubric",),
    "multiple_choice": ("choices", "by"), "normalised_exact": (), "number": ("tolerance", "relative_tolerance", "pick"), "one_of": ("labels",),
    "regex": ("pattern", "full_match", "ignore_case"), "token_f1": ("threshold",),
}  # fmt: skip
ANSWERS = (
    st.sampled_from(["", "A", "The answer is B.", "1,234.5e99999", "1/0", "{}", '{"a": NaN}', '{"a": 1' + "0" * 5000 + "}", "[" * 500, "```json\n{", "½ ٣ Ⅷ", "a" * 3000, "-" * 200])
    | texts
    | json_values.map(lambda value: as_json(value).decode())
)  # fmt: skip
MANIFESTS: dict[str, tuple[type[Manifest], Callable[..., str]]] = {
    "runlogs": (RunLogManifest, layout.runlog), "datasets": (DatasetManifest, layout.dataset), "adapters": (AdapterManifest, layout.adapter),
    "benchmarks": (BenchmarkManifest, layout.benchmark), "evals": (EvalManifest, layout.evaluation),
}  # fmt: skip


def run(seconds: float, seed_number: int) -> list[Figure]:
    """seconds: in all; each target has an equal share. A target that crashed is left."""
    figures, crashes = [], []
    targets = _targets()
    for name, (strategy, check) in targets.items():
        ends, cases, number = time.monotonic() + seconds / len(targets), 0, seed_number
        while time.monotonic() < ends:
            counted_cases, crash = _some(strategy, check, number)
            cases, number = cases + counted_cases, number + 1
            if crash:
                crashes.append(f"{name}, seed {number - 1}: {crash}")
                break
        figures.append(Figure("fuzz", f"{name}: cases", cases))
    return [*figures, counted("fuzz", "crashes", crashes)]


def _targets() -> dict[str, Target]:
    return {
        "run log lines": (_lines(RUN_LOG_FIELDS, GOOD_LINE), _read_run_log),
        "benchmark lines": (
            _lines(QUESTION_FIELDS, GOOD_QUESTION),
            lambda chunks: _ignore(build_benchmark(chunks, "x")),
        ),
        "review lines": (_lines(REVIEW_FIELDS, {}), lambda chunks: _ignore(read_review(chunks, {}))),
        "graders": (_grades(), _grade),
        "manifests": (st.tuples(st.sampled_from(sorted(MANIFESTS)), _objects(MANIFESTS) | raw_bytes), _read_manifests),
        "chat requests": (_requests(), _check_request),
        **trace_fuzz.targets(),
    }


def _some(strategy: st.SearchStrategy[Drawn], check: Callable[[Drawn], None], number: int) -> tuple[int, str]:
    """How many cases were tried, and the least one that crashed, with its traceback."""
    cases, last = 0, None

    @seed(number)
    @settings(
        max_examples=EXAMPLES_AT_ONCE, database=None, deadline=None, print_blob=False,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def attempt(value: Drawn) -> None:
        nonlocal cases, last
        cases += 1
        last = value
        with contextlib.suppress(BurnishError):
            check(value)

    try:
        attempt()
    except Exception:
        return cases, f"{last!r}: {traceback.format_exc(limit=-4)}"
    return cases, ""


def _ignore(value: object) -> None:
    """What came out is not looked at: that it came is all."""


def _objects_of(fields: tuple[str, ...], good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(fields) | texts, json_values, max_size=4).map(lambda some: good | some)


def _lines(fields: tuple[str, ...], good: dict[str, Any]) -> st.SearchStrategy[list[bytes]]:
    """A file of good, bad and broken lines, cut into chunks anywhere."""
    line = _objects_of(fields, good).map(as_json) | raw_bytes | st.just(b'{"a":1,"a":2}') | st.just(b"[" * 3000)
    file = st.lists(line, max_size=6).map(b"\n".join)
    return st.tuples(file, st.lists(st.integers(0, 400), max_size=4)).map(lambda made: _cut(*made))


def _cut(file: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(places), len(file)]
    return [file[start:end] for start, end in itertools.pairwise(ends)]


def _read_run_log(chunks: list[bytes]) -> None:
    """What was taken can be read again, and every line is accounted for."""
    with tempfile.TemporaryDirectory() as folder:
        ingested = ingest(chunks, Path(folder))
        manifest = ingested.manifest("x")
        reader = RunLogReader([Path(folder) / entry.path for entry in files_of(manifest).parts])
        rows = list(reader.lines(list(range(ingested.accepted))))
        assert len(rows) == ingested.accepted == ingested.lines - ingested.rejected
        manifest.model_dump_json()


def _grades() -> st.SearchStrategy[tuple[GraderSpec, str, str]]:
    assert set(TAKES) == set(grading.names()), "a grader is not fuzzed"

    def spec(name: str) -> st.SearchStrategy[GraderSpec]:
        arguments = st.fixed_dictionaries({}, optional={one: ARGUMENTS[one] for one in TAKES[name]})
        return arguments.map(lambda args: GraderSpec(name=name, args=args))

    return st.tuples(st.sampled_from(sorted(TAKES)).flatmap(spec), ANSWERS, ANSWERS)


def _grade(case: tuple[GraderSpec, str, str]) -> None:
    """An import checks a grader before it is ever used, so only what passed that is graded."""
    spec, answer, expected = case
    grading.check(spec, expected)
    grade = grading.grade(spec, answer, expected)
    assert (grade.passed is None) == (grade.score is None) == (grade.skipped_reason is not None)


def _objects(manifests: dict[str, tuple[type[Manifest], Callable[..., str]]]) -> st.SearchStrategy[bytes]:
    names = sorted({name for schema, _ in manifests.values() for name in schema.model_fields})
    return st.dictionaries(st.sampled_from(names), json_values | st.just("x"), max_size=12).map(
        as_json
    ) | json_values.map(as_json)


def _read_manifests(case: tuple[str, bytes]) -> None:
    """A list has the broken one as an entry; reading it alone says what is wrong."""
    kind, data = case
    schema, key_of = MANIFESTS[kind]
    names = ("x",) if kind in ("runlogs", "evals") else ("x", "0" * 16)
    store, key = MemoryObjectStore(), key_of(*names)
    store.put(key, data)
    found = read_listing(lambda one: read_manifest(store, one, schema), [key])
    assert len(found) + len(found.broken) == 1
    json.dumps([broken.model_dump() for broken in found.broken]).encode()
    store.put(layout.alias("x"), data)
    _ignore(AliasRegistry(store).all())
    _ignore(read_evals(store, "x"))


def _requests() -> st.SearchStrategy[bytes]:
    values = {
        name: st.sampled_from(PLAUSIBLE[name]) | json_values if name in PLAUSIBLE else json_values
        for name in PARAMETERS
    }
    values |= {
        name: SCHEMAS.map(lambda schema, name=name: _wrapped(name, schema))
        for name in ("response_format", "structured_outputs", "tools")
    }  # type: ignore[misc]
    given = st.fixed_dictionaries({}, optional=values)
    return given.map(lambda some: as_json({"model": "m", "messages": []} | some)) | raw_bytes | json_values.map(as_json)


def _wrapped(name: str, schema: Any) -> Any:
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        "structured_outputs": {"json": schema},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
    }[name]


def _check_request(body: bytes) -> None:
    """As the endpoint does, up to what vLLM would be sent."""
    payload = parse_payload(body)
    STANDARD.apply(CHAT, payload)
    orjson.dumps(payload)
