"""The gate by meaning: what it suspects, what it must not, and what a build makes of a suspicion."""

from __future__ import annotations

from pathlib import Path

import pytest
from paraphrase_making import pairs, questions
from unit.curation.gates.making import build, corrected, left_out, passing, question, rows, run

from burnish.curation.gates.lookalikes import Asked
from burnish.curation.gates.paraphrases import COSINE, Paraphrases, in_other_words, words_of
from burnish.curation.gates.screen import SUSPECTED

ASKED = sorted({made.text for made in questions("held")})
MOON, IN_OTHER_WORDS = "How far is the Moon from the Earth?", "How many kilometres separate Earth and Moon?"
SIBLING = "How many moons does Saturn have?"


def asked(text: str) -> Asked:
    return Asked(text, text)


def test_what_differs_in_one_thing_is_not_suspected_and_a_fifth_of_paraphrases_are() -> None:
    """On the set that nothing was tuned on; the word vectors alone would take 43 % of the pairs of one template."""
    screen = Paraphrases({text: asked(text) for text in ASKED}, [asked(text) for text in ASKED])
    everything = frozenset(ASKED)
    found = {
        kind: sum(screen.find(asked(one), but=everything - {other}) is not None for one, other in listed)
        for kind, listed in pairs(questions("held")).items()
    }
    assert found["one template"] == found["topic"] == found["other"] == found["other thing in other words"] == 0
    assert found["paraphrase"] >= 0.15 * len(pairs(questions("held"))["paraphrase"])


@pytest.mark.parametrize(
    ("one", "other", "suspected"),
    [
        ("Where is order 51875?", "Tell me when number 51875 leaves your house", True),
        ("Where is order 51875?", "Tell me when number 39266 leaves your house", False),
        ("What is the capital of Spain?", "What is the capital of Italy?", False),
        ("from checking to savings, please", "from savings to checking, please", False),
        ("", "", False),
    ],
)
def test_each_has_words_of_its_own_and_both_the_same_numbers(one: str, other: str, suspected: bool) -> None:
    assert in_other_words(words_of(one), words_of(other)) is suspected


def test_a_text_without_a_word_is_like_nothing() -> None:
    screen = Paraphrases({"b": asked("?"), "c": asked(MOON)}, [asked("")])
    assert [screen.find(asked(text)) for text in ("", "?", "123")] == [None, None, None]


def log() -> list[dict[str, object]]:
    """Thirty failures that ask different things, one of them what the benchmark asks in other words, and passing ones."""
    other = [text for text in ASKED if "Moon" not in text and "moon" not in text][:60:2]
    failing = [run(f"q{n:02d}", question=text) for n, text in enumerate([MOON, SIBLING, *other])]
    return [*failing, passing("ok", question="When was Darwin born?")]


BENCHMARK = [
    question("moon", IN_OTHER_WORDS),
    question("mars", "How many moons does Mars have?"),
    question("darwin", "What is the birth date of Darwin?"),
]


def of(built: object, question_id: str) -> list[tuple[str, str, str | None]]:
    return [(line.action, line.reason, line.like) for line in left_out(built) if line.question_id == question_id]  # type: ignore[arg-type]


def trained(built: object) -> set[str]:
    return {row["question_id"] for row in rows(built)}  # type: ignore[arg-type]


def test_a_paraphrase_of_a_benchmark_question_stays_and_is_named(tmp_path: Path) -> None:
    seeds = range(4)
    built = [build(tmp_path, log(), questions=BENCHMARK, anchor_ratio=1, anchor_pool_share=1, seed=n) for n in seeds]
    with_it = [each for each in built if "q00" in trained(each)]
    assert with_it
    for each in with_it:
        assert of(each, "q00") == [("doubted", SUSPECTED, "moon")]
        [line] = [line for line in left_out(each) if line.question_id == "q00"]
        assert line.similarity is not None
        assert line.similarity >= COSINE
        assert not of(each, "q01")
        assert of(each, "ok") == [("doubted", SUSPECTED, "darwin")]
        assert each.manifest.counts.doubted[SUSPECTED] >= 2
        assert any("--paraphrases drop" in warning for warning in each.manifest.warnings)
        assert f"× {SUSPECTED}" in each.files["README.md"].decode()


def test_it_is_left_out_if_the_spec_says_so_and_not_looked_for_if_that_is_said(tmp_path: Path) -> None:
    lines = log()
    for seed in range(4):
        fields = {"anchor_ratio": 1, "anchor_pool_share": 1, "seed": seed}
        dropped = build(tmp_path, lines, corrected(lines), BENCHMARK, paraphrases="drop", **fields)
        assert not trained(dropped) & {"q00", "ok"}
        assert of(dropped, "ok") == [("left out", f"anchor: {SUSPECTED}", "darwin")]
        if "q00" not in dropped.manifest.split.held_out:
            assert of(dropped, "q00") == [("left out", SUSPECTED, "moon")]
        silent = build(tmp_path, lines, corrected(lines), BENCHMARK, paraphrases="off", **fields)
        assert not any(line.reason == SUSPECTED for line in left_out(silent))
        assert "ok" in trained(silent)


def test_a_benchmark_question_that_is_trained_on_itself_accuses_nobody(tmp_path: Path) -> None:
    """q01 is in the benchmark under its own id: as far as it is trained on, its paraphrases may be too."""
    texts = ["When was Mozart born?", "What is the birth date of Mozart?"]
    others = [text for text in ASKED if "Mozart" not in text][:40]
    lines = [run(f"q{n:02d}", question=text) for n, text in enumerate([*texts, *others])]
    for seed in range(4):
        built = build(tmp_path, lines, questions=[question("q01", texts[1])], seed=seed)
        if {"q00", "q01"} <= trained(built):
            assert not of(built, "q00")
        elif "q00" in trained(built):
            assert of(built, "q00") == [("doubted", SUSPECTED, "q01")]
