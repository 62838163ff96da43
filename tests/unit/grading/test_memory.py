"""What a benchmark and an answer may take of memory: measured in a process of its own, since peaks do not come down again."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from burnish.caches import SizedCache
from burnish.errors import InvalidInputError
from burnish.grading import check
from burnish.grading.patterns import LARGEST_PATTERN
from burnish.grading.unrolled import unrolled_size
from burnish.schemas.benchmark import GraderSpec

MOST_GROWTH_MIB = 1000  # a search has half of it, and the caches little; it was over 4,000
TOO_LARGE = ["(?:a{999}){999}", "a{9999}" * 1400, "(?:(?:(?:(?:a{9}){9}){9}){9}){9}", "(?:(?:a{500,}){500,}){500,}",
    "(?x)(?:a{300}) # c\n {300}", "a{99999999999}", "a{" + "9" * 5000 + "}"]  # fmt: skip
FINE = [
    r"\d{4}-\d{2}-\d{2}",
    r"(?:\w+\s){0,500}x",
    "a{1,1000}",
    r"[{}]{3}(?:\{9\}){2}",
    "|".join(f"word{n}" for n in range(1000)),
    "a{9",
]


@pytest.mark.parametrize("pattern", TOO_LARGE)
def test_a_pattern_that_is_huge_once_its_counts_are_written_out_is_refused(pattern: str) -> None:
    started = time.process_time()
    for spec, expected in (
        (GraderSpec(name="regex"), pattern),
        (GraderSpec(name="json_fields", args={"json_schema": {"pattern": pattern}}), "{}"),
    ):
        with pytest.raises(InvalidInputError):
            check(spec, expected)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("pattern", FINE)
def test_patterns_as_people_write_them_are_fine(pattern: str) -> None:
    check(GraderSpec(name="regex"), pattern)


def test_the_size_of_a_pattern() -> None:
    assert unrolled_size("(?:a{9}b){9}") == pytest.approx(9 * 10, abs=30)
    assert unrolled_size("[a-z]{100}") == pytest.approx(100, abs=2)
    assert unrolled_size("(((") <= 3
    assert unrolled_size("a{0}") <= LARGEST_PATTERN


def test_long_arguments_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="300030 characters as JSON, and 262144 are the most"):
        check(GraderSpec(name="json_fields", args={"json_schema": {"title": "x" * 300_000}}), "{}")


def test_a_cache_holds_no_more_than_its_bound() -> None:
    cache: SizedCache[str] = SizedCache(10)
    made: list[str] = []

    def get(key: str) -> str:
        return cache.get(key, lambda: made.append(key) or key, len)  # type: ignore[func-returns-value]

    for key in ("aaaa", "bbbb", "aaaa", "cccc", "aaaa", "bbbb", "x" * 11, "aaaa"):
        assert get(key) == key
    assert made == ["aaaa", "bbbb", "cccc", "bbbb", "x" * 11, "aaaa"]


PROGRAM = """
import json, resource
from burnish.errors import InvalidInputError
from burnish.grading import check, grade
from burnish.schemas.benchmark import GraderSpec

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
grade(GraderSpec(name="regex"), "a", "a"); grade(GraderSpec(name="json_fields", args={"json_schema": {}}), "{}", "{}")
before = peak()
ab, a = "ab" * 500_000, "a" * 1_000_000
for pattern, answer in [(r"(?:(?=((a)|(b))*)[ab])*[cd]", ab), ("(?:" + "((((((((a))))))))?" * 100 + ")*[bc]", a), (r"(?:(a)|(b)|c)*", ab)]:
    grade(GraderSpec(name="regex", args={"pattern": pattern}), answer, "x")
for number in range(256):
    check(GraderSpec(name="regex"), f"{number}" + "(?:a{9}){9}" * 180)
for number in range(300):
    try:
        check(GraderSpec(name="json_fields", args={"json_schema": {"title": str(number), "enum": ["x" * 250_000]}}), "{}")
    except InvalidInputError:
        pass
schema = {"properties": {"a": {"anyOf": [{"items": {"type": "string"}}, {"type": "string"}]}}}
grade(GraderSpec(name="json_fields", args={"json_schema": schema, "fields": {}}), json.dumps({"a": [1] * 300_000}), "{}")
print(peak() - before)
"""


def test_hostile_patterns_schemas_and_answers_take_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < MOST_GROWTH_MIB
