"""Preferences: which answers and pairs there are, on which side each stands, what a file says of them, and what rows they become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log, run

from burnish.curation.build import build_dataset
from burnish.curation.lengths import CharacterLengths
from burnish.curation.output.sealing import BuiltDataset
from burnish.curation.preferences.answers import Answer, distinct, logged_answers
from burnish.curation.preferences.pairs import pairs_of
from burnish.curation.preferences.settling import CONFLICT, NEITHER, RATED, TIE, settle
from burnish.curation.review.items import Correction, Judgement, known_failures, review_items
from burnish.curation.review.reading import ReviewedFile, read_review
from burnish.jsonl import to_jsonl
from burnish.schemas.dataset import DatasetSpec
from burnish.schemas.review import Choice, Preference, ReviewDecision, ReviewEvent
from burnish.schemas.runlog import ReviewItem

LINES = [
    run("q1", answer="one", model="base", expected_answer="right"),
    run("q1", answer="one ", model="base", run_id="r2"),
    run("q1", answer="two", model="other", run_id="r3", grade="correct", failure_label=None),
    run("q1", answer="elsewhere", run_id="r4", system_prompt="Be brief."),
    run("q1", answer="call", run_id="r5", tool_calls=[{"id": "1"}]),
    run("q2", answer="alone"),
    run("q3", answer="", correction="fixed"),
    run("q3", answer="said", run_id="r2", grade="correct", failure_label=None),
]


def test_the_answers_of_a_prompt_are_each_other_text_that_a_row_can_hold(tmp_path: Path) -> None:
    """Its own first; other models' and samples of the same prompt alone, and what the log and teachers propose."""
    reader, codes = open_log(tmp_path, LINES)
    key = {each.question_id: each.prompt_key for each in review_items(reader, codes, ["not-json"])}
    taught = {
        "q2": [(key["q2"] or "", Answer("taught", "teacher")), ("0" * 64, Answer("of another prompt", "teacher"))]
    }
    found = logged_answers(reader, codes, [0, 5, 6], taught)
    assert [(a.text, a.source) for a in found[0]] == [("one", "base"), ("two", "other"), ("right", "expected answer")]
    assert [a.text for a in found[5]] == ["alone", "taught"]
    assert [a.text for a in found[6]] == ["said", "fixed"]


def test_a_pair_needs_two_answers_and_the_first_one_comes_first() -> None:
    answers = [Answer(text, "m") for text in "abcd"]
    assert pairs_of("q", answers[:1]) == []
    pairs = pairs_of("q", answers)
    assert [{pair.a.text, pair.b.text} for pair in pairs] == [
        {"a", "b"}, {"a", "c"}, {"a", "d"}, {"b", "c"}, {"b", "d"}, {"c", "d"}
    ]  # fmt: skip
    assert len(pairs_of("q", [Answer(str(n), "m") for n in range(9)])) == 10
    assert [a.text for a in distinct([Answer(" ", "m"), Answer("x\n", "m"), Answer("x", "n")])] == ["x\n"]


def test_a_side_says_nothing_of_where_an_answer_is_from() -> None:
    """Over 4,000 items the model's own answer is on the left in half (5 standard deviations), and stays there whoever asks in whatever order."""
    left = 0
    for number in range(4000):
        own, other = Answer("wrong answer", "base"), Answer(f"answer {number % 7}", "other")
        [pair] = pairs_of(f"q{number}", [own, other])
        assert pairs_of(f"q{number}", [other, own]) == [pair]
        left += pair.a is own
    assert abs(left - 2000) < 5 * 1000**0.5


def preference(choice: Choice, a: str = "one", b: str = "two") -> Preference:
    return Preference(choice=choice, a=a, b="" if choice in ("up", "down") else b)


def test_what_a_format_makes_of_the_preferences_of_one_prompt() -> None:
    given = {"q2": preference("b"), "q1": preference("tie")}
    assert settle(given, "dpo").question_id == "q2"
    assert settle({"q1": preference("tie")}, "dpo").reason == TIE
    assert settle({"q1": preference("neither")}, "dpo").reason == NEITHER
    assert settle({"q1": preference("up")}, "dpo").reason == RATED
    assert settle({"q1": preference("up")}, "kto").preference == preference("up")
    assert settle({"q1": preference("a"), "q2": preference("b")}, "dpo").reason == CONFLICT
    assert settle({"q1": preference("a"), "q2": preference("b", "two", "one")}, "dpo").question_id == "q1"
    assert settle({"q1": preference("up"), "q2": preference("down")}, "kto").reason == CONFLICT
    assert settle({}, "dpo").reason is None


class Log:
    """A review file of LINES, out and back in, with the log's own answers."""

    def __init__(self, folder: Path, lines: Sequence[dict[str, Any]] = LINES) -> None:
        self.reader, self.codes = open_log(folder, lines)
        self.known = known_failures(self.reader, self.codes)

    def items(self, **standing: ReviewEvent) -> dict[str, ReviewItem]:
        return {item.question_id: item for item in review_items(self.reader, self.codes, ["not-json"], standing)}

    def answers(self, decisions: Sequence[ReviewDecision]) -> list[list[Answer]]:
        rows = [self.known[d.question_id, d.failure_label or ""].row for d in decisions]
        found = logged_answers(self.reader, self.codes, rows)
        return [found[row] for row in rows]

    def read(self, *items: ReviewItem) -> ReviewedFile:
        return read_review([to_jsonl(items, exclude_none=True)], self.known, self.answers)


def changed(item: ReviewItem, **fields: Any) -> ReviewItem:
    return ReviewItem.model_validate(item.model_dump() | fields)


def test_a_file_offers_two_answers_and_takes_a_preference_back_in(tmp_path: Path) -> None:
    log = Log(tmp_path)
    items = log.items()
    q1, q2 = items["q1"], items["q2"]
    assert ({q1.answer_a, q1.answer_b}, q2.answer_a, q2.answer_b) == ({"one", "two"}, "", "")
    done = log.read(changed(q1, preference=" Neither ", answer_a=q1.answer_a + "\r\n"), changed(q2, preference="DOWN"))
    assert done.rejected_lines == []
    [first, second] = done.decisions
    assert (first.state, first.preference and first.preference.choice) == ("compared", "neither")
    assert first.preference
    assert {first.preference.a_source, first.preference.b_source} == {"base", "other"}
    assert (second.state, second.preference) == (
        "rated",
        Preference(choice="down", a="alone", a_source="logged answer"),
    )

    standing = {
        q: ReviewEvent.model_validate(
            {"sequence": 7, "failure_label": "not-json", "output": "", "reason": "", "author": "mia"}
            | {"question_id": q, "at": "2026-11-29T12:00:00Z", "state": d.state, "preference": d.preference}
        )
        for q, d in (("q1", first), ("q2", second))
    }
    again = log.items(**standing)
    assert [(i.state, i.preference) for i in (again["q1"], again["q2"])] == [("compared", "neither"), ("rated", "down")]
    assert [(d.state, d.preference) for d in log.read(again["q1"], again["q2"]).decisions] == [
        (d.state, d.preference) for d in (first, second)
    ]
    emptied = log.read(changed(again["q1"], preference=""), changed(again["q2"], state="open", preference=""))
    assert emptied.emptied == ["q1", "q2"]
    corrected = log.read(changed(again["q1"], corrected_output="written", preference=""))
    assert [d.state for d in corrected.decisions] == ["corrected"]


@pytest.mark.parametrize(
    ("question_id", "fields", "reason"),
    [
        ("q1", {"preference": "a", "answer_a": "made up"}, "answer_a: this question has no such answer to this prompt"),
        ("q1", {"preference": "b", "answer_b": "elsewhere"}, "answer_b: this question has no such answer"),
        ("q1", {"preference": "a", "answer_a": "one", "answer_b": "one"}, "answer_b: the same as answer_a"),
        ("q1", {"preference": "a", "corrected_output": "x"}, "an item that is corrected has none: empty it, or corrected_output"),
        ("q1", {"preference": "up", "original_answer": "two"}, "preference: a thumb is about the answer that the item shows"),
        ("q3", {"preference": "up"}, "preference: a thumb is about the answer that the item shows"),
        ("q2", {"preference": "tie"}, "answer_a: this question has no such answer"),
        ("q1", {"preference": "maybe"}, "preference: Input should be '', 'a', 'b', 'tie', 'neither', 'up' or 'down'"),
    ],
)  # fmt: skip
def test_a_preference_that_is_about_nothing_is_refused(
    tmp_path: Path, question_id: str, fields: dict[str, str], reason: str
) -> None:
    log = Log(tmp_path)
    line = json.dumps(log.items()[question_id].model_dump(exclude_none=True) | fields).encode()
    result = read_review([line], log.known, log.answers)
    assert (result.decisions, [reason in each.reason for each in result.rejected_lines]) == ([], [True]), (
        result.rejected_lines
    )


def test_a_thumb_up_for_what_the_questions_own_grader_fails_is_refused(tmp_path: Path) -> None:
    graded = {"grader": {"name": "exact", "args": {}}, "expected_answer": "right"}
    log = Log(tmp_path, [run("q1", **graded), run("q2", **graded)])
    items = log.items()
    result = log.read(changed(items["q1"], preference="up"), changed(items["q2"], preference="down"))
    assert [d.question_id for d in result.decisions] == ["q2"]
    assert "preference: the question's own grader, exact, fails it" in result.rejected_lines[0].reason


FAILING = [
    run(f"q{n:02d}", answer=f"wrong {n}", question=f"Tell me about subject {chr(65 + n) * 5}.") for n in range(20)
]


def judged(choices: dict[str, Choice]) -> dict[str, Judgement]:
    found = {}
    for q, choice in choices.items():
        own, other = f"wrong {int(q[1:])}", f"a much longer and better answer to {q}"
        found[q] = Judgement(q, "not-json", preference(choice, own, other))
    return found


def built(folder: Path, judgements: dict[str, Judgement], corrected: Sequence[str] = (), **fields: Any) -> BuiltDataset:
    reader, codes = open_log(folder, FAILING)
    spec = DatasetSpec.model_validate({"name": "fix", "run_log_id": "log1", "labels": ["not-json"]} | fields)
    corrections = {q: Correction(q, "not-json", f"right {q}") for q in corrected}
    return build_dataset(spec, reader, codes, corrections, CharacterLengths(), judgements=judgements)


def rows_of(dataset: BuiltDataset) -> list[dict[str, Any]]:
    return [
        json.loads(line) for name in ("train.jsonl", "validation.jsonl") for line in dataset.files[name].splitlines()
    ]


CORRECTED = [f"q{n:02d}" for n in range(8)]


def test_dpo_takes_pairs_from_preferences_beside_corrections(tmp_path: Path) -> None:
    compared: dict[str, Choice] = {f"q{n:02d}": "a" if n % 2 else "b" for n in range(8, 16)}
    others: dict[str, Choice] = {"q16": "tie", "q17": "neither", "q18": "up"}
    dataset = built(tmp_path / "dpo", judged(compared | others), CORRECTED, format="dpo")
    rows, counts = rows_of(dataset), dataset.manifest.counts
    preferred = {row["question_id"]: row for row in rows if row["source"] == "preference"}
    assert (counts.preferences, counts.corrections) == (
        len(preferred),
        sum(row["source"] == "correction" for row in rows),
    )
    assert counts.preferences >= 4
    for q, row in preferred.items():
        better, worse = judged(compared)[q].preference.pair or ("", "")
        assert (row["chosen"][0]["content"], row["rejected"][0]["content"]) == (better, worse)
    assert (counts.discarded[TIE], counts.discarded[NEITHER], counts.discarded[RATED]) == (1, 1, 1)
    assert counts.discarded["no correction"] == 1
    assert counts.provenance["answers that were there, chosen or rated by a person"] == counts.preferences
    assert f"- {counts.preferences} rows come from preferences: two answers" in dataset.files["README.md"].decode()
    assert set(preferred) <= {*dataset.manifest.split.train, *dataset.manifest.split.validation}
    sft = built(tmp_path / "sft", judged(compared | others), CORRECTED)
    held = [sorted(set(each.manifest.split.held_out) & set(CORRECTED)) for each in (dataset, sft)]
    assert held[0] == held[1], "what is held out of the corrections does not depend on the format"
    assert sft.manifest.counts.preferences == 0
    without = built(tmp_path / "without", judged(compared | others), CORRECTED, format="dpo", preferences=False)
    assert without.manifest.split == sft.manifest.split, "methods that are compared have one split"


def test_a_preference_changes_the_version_and_the_reviews_digest(tmp_path: Path) -> None:
    compared: dict[str, Choice] = {f"q{n:02d}": "a" for n in range(20)}
    one = built(tmp_path / "1", judged(compared), format="dpo").manifest
    same = built(tmp_path / "2", judged(compared), format="dpo").manifest
    other = built(tmp_path / "3", judged(compared | {one.split.train[0]: "b"}), format="dpo").manifest
    assert one.version == same.version != other.version
    digests = [next(p.digest for p in m.parents if p.kind == "review") for m in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_kto_takes_thumbs(tmp_path: Path) -> None:
    """Up is wanted and down is not; without a thumb the logged answer is unwanted, as before, and only with --uncorrected."""
    thumbs: dict[str, Choice] = {f"q{n:02d}": "up" if n % 2 else "down" for n in range(8, 16)}
    make = partial(built, corrected=CORRECTED, format="kto", anchor_ratio=0)
    dataset = make(tmp_path / "all", judged(thumbs | {"q16": "a"}))
    by_source = {(row["question_id"], row["source"]): row["label"] for row in rows_of(dataset)}
    rated = {q: label for (q, source), label in by_source.items() if source == "preference"}
    assert rated
    assert all(label == (thumbs[q] == "up") for q, label in rated.items())
    assert not [q for q, source in by_source if source == "logged" and q in thumbs]
    only = make(tmp_path / "only", judged(thumbs | {"q16": "a"}), uncorrected=False)
    assert {row["question_id"] for row in rows_of(only)} <= {*thumbs, *CORRECTED}
    assert (
        only.manifest.counts.discarded["no correction: two answers were compared, of which only dpo makes a row"] == 1
    )


def test_a_preference_for_another_prompt_is_left_out(tmp_path: Path) -> None:
    stray = {"q10": Judgement("q10", "not-json", preference("a"), "0" * 64)}
    dataset = built(tmp_path, judged({f"q{n:02d}": "a" for n in range(10)}) | stray, format="dpo")
    assert dataset.manifest.counts.discarded["the correction was made for another prompt of this question"] == 1
