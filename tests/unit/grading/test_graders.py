"""Every grader on good, wrong and hostile answers."""

from __future__ import annotations

import time

import pytest

from burnish.errors import InvalidInputError
from burnish.grading import Grade, chance, check, closed_answers, describe, grade, names
from burnish.schemas.benchmark import GraderSpec

ALL = ["contains", "exact", "json_fields", "multiple_choice", "normalised_exact", "number", "regex", "token_f1"]
EXPECTED = {"json_fields": '{"a": 1}', "multiple_choice": "B", "number": "42"}
PASSES = "passes"


def graded(name: str, answer: str, expected: str, **args: object) -> Grade:
    return grade(GraderSpec(name=name, args=args), answer, expected)


def outcome(name: str, answer: str, expected: str, **args: object) -> str:
    """`passes`, or the failure label, or the reason it was skipped."""
    result = graded(name, answer, expected, **args)
    return PASSES if result.passed else result.failure_label or result.skipped_reason or "?"


def test_registry_has_all_and_describes_them() -> None:
    assert names() == sorted([*ALL, "judge", "one_of"])
    assert describe("contains").startswith(
        "contains(case_sensitive: bool = False, whole_words: bool = True): The expected"
    )


@pytest.mark.parametrize("name", ALL)
def test_the_same_for_every_grader(name: str) -> None:
    expected = EXPECTED.get(name, "Paris")
    assert outcome(name, expected, expected) == PASSES
    assert outcome(name, "", expected) == "empty-answer"
    assert outcome(name, " \n\t", expected) == "empty-answer"
    assert outcome(name, "x" * 1_000_001, expected) == "too-long"
    assert outcome(name, "I'm sorry, but I cannot help with that.", expected) == "refusal"
    assert graded(name, "x", "  ").skipped_reason == "the expected answer is empty"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "answer",
    [
        "\x00",
        "\u202egnp",
        "🙃" * 1000,
        "{" * 50_000,
        "[" * 50_000,
        '{"a":' * 50_000,
        "(" * 50_000,
        "9" * 5000,
        "1," * 50_000,
        "a " * 200_000,
    ],
)
def test_hostile_answers_fail_quickly_and_never_raise(name: str, answer: str) -> None:
    started = time.process_time()
    result = graded(name, answer, EXPECTED.get(name, "Paris"))
    assert result.passed is False
    assert result.failure_label
    assert result.score is not None
    assert 0 <= result.score <= 1
    assert time.process_time() - started < 1, "seconds of computing, however busy the machine"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (GraderSpec(name="nope"), "use one of contains, exact, json_fields"),
        (
            GraderSpec(name="contains", args={"case": True}),
            "case: Extra inputs.*It takes: case_sensitive: bool = False",
        ),
        (GraderSpec(name="exact", args={"strip": "yes"}), "strip: Input should be a valid boolean"),
        (GraderSpec(name="number", args={"tolerance": -1}), "tolerance: Input should be greater"),
        (GraderSpec(name="normalised_exact", args={"x": 1}), "It takes: no arguments"),
        (GraderSpec(name="token_f1", args={"threshold": 0}), "threshold"),
        (GraderSpec(name="json_fields", args={"fields": {"a": "same"}}), "fields.a: Input should be 'exact'"),
    ],
)
def test_bad_specs_say_what_exists(spec: GraderSpec, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        check(spec, "x")
    with pytest.raises(InvalidInputError, match=message):
        grade(spec, "answer", "expected")


def test_faults_only_seen_on_use_are_invalid_input_too() -> None:
    with pytest.raises(InvalidInputError, match="no regular expression"):
        graded("regex", "x", "y", pattern="(")
    with pytest.raises(InvalidInputError, match="not a JSON Schema"):
        graded("json_fields", "{}", "{}", json_schema={"type": "nonsense"})
    with pytest.raises(InvalidInputError, match="'b' is not in the expected answer"):
        graded("json_fields", "{}", '{"a": 1}', fields={"b": "exact"})


@pytest.mark.parametrize(
    ("answer", "expected", "args", "result"),
    [
        ("The capital is PARIS.", "paris", {}, PASSES),
        ("Straße", "STRASSE", {}, PASSES),
        ("ﬁne", "fine", {}, PASSES),
        ("heap\n  queue", "heap queue", {}, PASSES),
        ("PARIS", "paris", {"case_sensitive": True}, "expected-text-missing"),
        ("to start", "art", {}, "expected-text-missing"),
        ("to start", "art", {"whole_words": False}, PASSES),
        ("c++ is it", "C++", {}, PASSES),
        ("in heapq.py", "heapq", {}, PASSES),
        ("It costs 150 dollars", "50", {}, "expected-text-missing"),
        ("It costs 50.5 dollars", "50", {}, "expected-text-missing"),
        ("It costs 1,500 dollars", "500", {}, "expected-text-missing"),
        ("It costs 500 dollars", "50", {}, "expected-text-missing"),
        ("It is -50", "50", {}, "expected-text-missing"),
        ("It costs $50.", "50", {}, PASSES),
        ("50kg, I think", "50", {}, PASSES),
        ("20-50", "50", {}, PASSES),
        ("答えは東京です", "東京", {}, PASSES),
        ("答えはParisです", "Paris", {}, PASSES),
        ("London", "Paris", {}, "expected-text-missing"),
        ("a.c", "abc", {}, "expected-text-missing"),
    ],
)
def test_contains(answer: str, expected: str, args: dict[str, object], result: str) -> None:
    assert outcome("contains", answer, expected, **args) == result


@pytest.mark.parametrize(
    ("answer", "args", "result"),
    [
        ("heapq.py\n", {}, PASSES),
        ("heapq.py\n", {"strip": False}, "answer-in-prose"),
        ("Heapq.py", {}, "wrong-answer"),
        ("It is heapq.py", {}, "answer-in-prose"),
    ],
)
def test_exact(answer: str, args: dict[str, object], result: str) -> None:
    assert outcome("exact", answer, "heapq.py", **args) == result


@pytest.mark.parametrize(
    ("answer", "expected", "result"),
    [
        ("The  Eiffel-Tower!", "eiffeltower", PASSES),
        ("an answer", "Answer.", PASSES),
        ("It's the Eiffel Tower", "Eiffel Tower", "answer-in-prose"),
        ("Big Ben", "Eiffel Tower", "wrong-answer"),
        ("x", "the", "nothing of the expected answer is left after normalisation: use `exact`"),
    ],
)
def test_normalised_exact(answer: str, expected: str, result: str) -> None:
    assert outcome("normalised_exact", answer, expected) == result


@pytest.mark.parametrize(
    ("answer", "args", "result"),
    [
        ("id: AB-12", {"pattern": r"[A-Z]{2}-\d+"}, PASSES),
        ("id: ab-12", {"pattern": r"[A-Z]{2}-\d+"}, "no-match"),
        ("id: ab-12", {"pattern": r"[A-Z]{2}-\d+", "ignore_case": True}, PASSES),
        ("id: AB-12", {"pattern": r"[A-Z]{2}-\d+", "full_match": True}, "no-match"),
        (" AB-12\n", {"pattern": r"[A-Z]{2}-\d+", "full_match": True}, PASSES),
        ("x1x", {}, PASSES),
    ],
)
def test_regex(answer: str, args: dict[str, object], result: str) -> None:
    assert outcome("regex", answer, r"\d", **args) == result


@pytest.mark.parametrize(
    ("answer", "expected", "args", "result"),
    [
        ("It is 42.", "42", {}, PASSES),
        ("1,234.5 in total", "1234.5", {}, PASSES),
        ("−3", "-3", {}, PASSES),
        ("5kg", "5", {}, PASSES),
        ("1e3", "1000", {}, PASSES),
        (".5", "0.5", {}, PASSES),
        ("first 1, then 2", "2", {"pick": "last"}, PASSES),
        ("first 1, then 2", "1", {"pick": "first"}, PASSES),
        ("first 1, then 2", "2", {"pick": "only"}, "several-numbers"),
        ("3.15", "3.14", {"tolerance": 0.011}, PASSES),
        ("3.15", "3.14", {}, "wrong-number"),
        ("101", "100", {"relative_tolerance": 0.01}, PASSES),
        ("103", "100", {"relative_tolerance": 0.01}, "wrong-number"),
        ("version v2", "2", {}, "no-number"),
        ("NaN", "2", {"tolerance": 1e300}, "no-number"),
        ("inf", "2", {}, "no-number"),
        ("1e999", "2", {}, "no-number"),
        ("2", "two", {}, "the expected answer 'two' is not one number"),
        ("2", "1 2", {}, "the expected answer '1 2' is not one number"),
    ],
)
def test_number(answer: str, expected: str, args: dict[str, object], result: str) -> None:
    assert outcome("number", answer, expected, **args) == result


CAPITALS = {"A": "London", "B": "Paris", "C": "New York"}


@pytest.mark.parametrize(
    ("answer", "choices", "result"),
    [
        ("B", None, PASSES),
        ("b", None, PASSES),
        ("(B)", None, PASSES),
        ("**B**", None, PASSES),
        ("B. Paris, of course", None, PASSES),
        ("The answer is B", None, PASSES),
        ("Answer: (B)", None, PASSES),
        ("I would go with (B) here", None, PASSES),
        ("C) Rome", None, "wrong-choice"),
        ("A) x or B) y", None, "several-choices"),
        ("a dog", None, "no-choice"),
        ("I think so", None, "no-choice"),
        ("Paris", CAPITALS, PASSES),
        ("It is new york", CAPITALS, "wrong-choice"),
        ("London or Paris", CAPITALS, "several-choices"),
        ("Rome", CAPITALS, "no-choice"),
    ],
)
def test_multiple_choice(answer: str, choices: dict[str, str] | None, result: str) -> None:
    assert outcome("multiple_choice", answer, "B", choices=choices) == result


def test_multiple_choice_takes_the_expected_text_and_skips_nonsense() -> None:
    assert outcome("multiple_choice", "B", "paris", choices=CAPITALS) == PASSES
    assert graded("multiple_choice", "B", "Rome", choices=CAPITALS).passed is None


INTENTS = ["card_arrival", "Lost card", "top-up"]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("lost card", PASSES),
        (" **Lost Card**.\n", PASSES),
        ('"LOST  CARD"', PASSES),
        ("top-up", "wrong-label"),
        ("card_arrival", "wrong-label"),
        ("card arrival", "not-in-list"),
        ("The intent is lost card", "not-in-list"),
        ("lost card, top-up", "not-in-list"),
        ("refund", "not-in-list"),
        ("?!", "not-in-list"),
        ("I'm sorry, but I cannot help with that.", "refusal"),
    ],
)
def test_one_of_tells_format_from_content(answer: str, result: str) -> None:
    assert outcome("one_of", answer, "Lost card", labels=INTENTS) == result


def test_one_of_says_which_labels_it_knows() -> None:
    assert "card_arrival, Lost card, top-up" in graded("one_of", "refund", "top-up", labels=INTENTS).detail
    assert graded("one_of", "refund", "refund", labels=INTENTS).skipped_reason == (
        "the expected answer 'refund' is none of the 3 labels"
    )
    with pytest.raises(InvalidInputError, match=r"labels 'a' and 'A\.' are the same"):
        graded("one_of", "a", "a", labels=["a", "A."])
    with pytest.raises(InvalidInputError, match="label '!' has no letter"):
        graded("one_of", "a", "a", labels=["a", "!"])
    with pytest.raises(InvalidInputError, match="labels"):
        check(GraderSpec(name="one_of", args={"labels": ["a"]}), "x")


@pytest.mark.parametrize(
    ("name", "args", "answers", "level"),
    [
        ("one_of", {"labels": INTENTS}, ("card_arrival", "Lost card", "top-up"), 1 / 3),
        ("multiple_choice", {"choices": {"b": "Rome", "a": "Paris"}}, ("A", "B"), 1 / 2),
        ("multiple_choice", {}, (), None),
        ("contains", {}, (), None),
    ],
)
def test_closed_answers_have_a_chance_level(
    name: str, args: dict[str, object], answers: tuple[str, ...], level: float | None
) -> None:
    spec = GraderSpec(name=name, args=args)
    assert closed_answers(spec) == answers
    assert chance(spec) == level


WANTED = '{"file": "heapq.py", "symbol": "heappush", "parameters": ["heap", "item"]}'


@pytest.mark.parametrize(
    ("answer", "result", "score"),
    [
        (WANTED, PASSES, 1.0),
        ('{"symbol": "heappush",\n "parameters": ["heap", "item"], "file": "heapq.py"}\n', PASSES, 1.0),
        (f"```json\n{WANTED}\n```", "json-in-prose", 1.0),
        (f"Here you are: {WANTED}", "json-in-prose", 1.0),
        ("heapq.py, heappush", "not-json", 0.0),
        ("{'file': 'heapq.py'}", "not-json", 0.0),
        ('{"file": NaN}', "not-json", 0.0),
        (WANTED[:-10], "json-cut-off", 0.0),
        (f"Sure! {WANTED[:-10]}", "json-cut-off", 0.0),
        ('["heapq.py"]', "not-an-object", 0.0),
        ("null", "not-an-object", 0.0),
        ('{"file": "heapq.py", "file": "heapq.py"}', "duplicate-key", 0.0),
        (
            '{"file": "heappush", "symbol": "heapq.py", "parameters": ["heap", "item"]}',
            "right-value-wrong-field",
            1 / 3,
        ),
        ('{"file": "heapq.py", "name": "heappush", "parameters": ["heap", "item"]}', "right-value-wrong-field", 2 / 3),
        ('{"file": "heapq.py", "symbol": "heappush"}', "missing-field", 2 / 3),
        ('{"file": "heapq.py", "symbol": "heappop", "parameters": ["heap", "item"]}', "wrong-value", 2 / 3),
        ('{"file": "heapq.py", "symbol": "heappush", "parameters": ["item", "heap"]}', "wrong-value", 2 / 3),
        ('{"file": "heapq.py", "symbol": null, "parameters": ["heap", "item"]}', "wrong-value", 2 / 3),
        (WANTED.replace('"heapq.py"', '"heapq.py", "line": 7'), "extra-field", 1.0),
        ("{}", "missing-field", 0.0),
    ],
)
def test_json_fields_names_the_way_it_failed(answer: str, result: str, score: float) -> None:
    assert outcome("json_fields", answer, WANTED) == result
    assert graded("json_fields", answer, WANTED).score == pytest.approx(score)


def test_json_fields_not_strict_looks_inside() -> None:
    for answer in (f"```json\n{WANTED}\n```", f"Sure: {WANTED} Anything else?", WANTED.replace("{", '{"line": 7, ', 1)):
        assert outcome("json_fields", answer, WANTED, strict=False) == PASSES
    assert outcome("json_fields", 'a {b} {"file": 1}', WANTED, strict=False) == "missing-field"


@pytest.mark.parametrize(
    ("rule", "got", "wanted", "result"),
    [
        ("exact", "1", "1.0", PASSES),
        ("exact", "true", "1", "wrong-value"),
        ("exact", '"1"', "1", "wrong-value"),
        ("exact", '{"b": 1, "c": [2]}', '{"c": [2], "b": 1.0}', PASSES),
        ("normalised", '"The Heap!"', '"heap"', PASSES),
        ("contains", '"Lib/heapq.py"', '"HEAPQ.py"', PASSES),
        ("contains", '"150 miles"', '"50"', "wrong-value"),
        ("number", '"7"', "7", PASSES),
        ("number", "true", "1", "wrong-value"),
        ("number", '"x"', "1", "wrong-value"),
        ("unordered", "[2, 1, 1]", "[1, 2, 1]", PASSES),
        ("unordered", "[2, 1]", "[1, 2, 1]", "wrong-value"),
        ("present", "null", "7", PASSES),
    ],
)
def test_field_rules(rule: str, got: str, wanted: str, result: str) -> None:
    assert outcome("json_fields", f'{{"a": {got}}}', f'{{"a": {wanted}}}', fields={"a": rule}) == result


def test_json_fields_checks_only_the_fields_named_and_the_schema() -> None:
    schema = {"type": "object", "properties": {"note": {"type": "string", "maxLength": 3}}}
    args = {"fields": {"file": "exact", "note": "present"}, "json_schema": schema}
    assert outcome("json_fields", '{"file": "heapq.py", "note": "abc"}', WANTED, **args) == PASSES
    assert outcome("json_fields", '{"file": "heapq.py", "note": "abcd"}', WANTED, **args) == "schema-mismatch"
    assert outcome("json_fields", '{"file": "heapq.py"}', WANTED, **args) == "missing-field"


def test_json_fields_skips_an_expected_answer_that_is_no_object() -> None:
    assert graded("json_fields", "{}", "heapq").skipped_reason == (
        "the expected answer is not a JSON object (of at most 100 levels)"
    )
    assert graded("json_fields", "{}", "[1]").passed is None


def test_token_f1_score_is_the_f1() -> None:
    result = graded("token_f1", "The quick brown fox", "a quick red fox", threshold=0.6)
    assert (result.passed, result.score) == (True, pytest.approx(2 / 3))
    result = graded("token_f1", "The quick brown fox", "a quick red fox", threshold=0.7)
    assert (result.failure_label, result.score) == ("low-overlap", pytest.approx(2 / 3))
    assert graded("token_f1", "!!!", "fox").score == 0.0


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I cannot provide this information.", "refusal"),
        ("As an AI language model, I don't have access to your files.", "refusal"),
        ("I'm sorry for your loss, but as a text-based AI, I don't have the ability to access data.", "refusal"),
        ("Unfortunately, I’m unable to answer.", "refusal"),
        ("I'm sorry for your loss. I'm more than happy to help you with your order. Can you provide", "not-json"),
        ("Sorry for the delay: billing", "not-json"),
        ("The function says: I cannot help", "not-json"),
        ("I can help with that.", "not-json"),
    ],
)
def test_an_apology_is_no_refusal(answer: str, label: str) -> None:
    assert outcome("json_fields", answer, WANTED) == label


def test_a_right_answer_that_apologises_is_right() -> None:
    assert outcome("contains", "I'm sorry, I cannot help but say Paris", "Paris") == PASSES
