"""Near-duplicates and contamination: what is left out, with whom it is alike, and what is not mistaken for alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.curation.gates.making import (
    build,
    corrected,
    failures,
    left_out,
    passing,
    prose,
    question,
    reworded,
    rows,
    run,
)

from burnish.curation.gates.lookalikes import Asked, Lookalikes, template_of
from burnish.errors import PreconditionError

NEAR_DUPLICATE = "near-duplicate: another row asks nearly the same and has the same answer"
NEAR_BENCHMARK = "contamination: it asks nearly what a benchmark question asks"
SAME_TURN = "contamination: its last user turn is a benchmark question's"


def variants(count: int) -> list[dict[str, Any]]:
    """Each of `count` questions in two wordings, under two ids."""
    return [run(f"q{n:02d}{v}", question=reworded(prose(n)) if v else prose(n)) for n in range(count) for v in (0, 1)]


def test_questions_that_ask_nearly_the_same_stay_on_one_side(tmp_path: Path) -> None:
    for seed in range(4):
        split = build(tmp_path, variants(12), seed=seed).manifest.split
        for part in (split.held_out, split.train, split.validation):
            assert sorted(q[:-1] for q in part if q[-1] == "0") == sorted(q[:-1] for q in part if q[-1] == "1")
        assert split.held_out
    apart = build(tmp_path, variants(12), near_duplicates="keep").manifest.split
    assert {q[:-1] for q in apart.held_out} & {q[:-1] for q in apart.train}


def test_of_near_duplicates_with_one_answer_one_row_is_kept(tmp_path: Path) -> None:
    lines = variants(12)
    same = corrected(lines, **{line["question_id"]: f"right {line['question_id'][:-1]}" for line in lines})
    built = build(tmp_path, lines, same)
    trained = [row["question_id"] for row in rows(built)]
    assert len(trained) == len({q[:-1] for q in trained})
    split = built.manifest.split
    assert len(split.train) + len(split.validation) == 2 * len(trained), "the others count as trained on"
    lines_left = left_out(built)
    assert {(line.action, line.reason) for line in lines_left} == {("left out", NEAR_DUPLICATE)}
    assert {line.like for line in lines_left} == set(trained)
    assert all(line.similarity is not None and 0.7 <= line.similarity < 1 for line in lines_left)
    assert built.manifest.counts.discarded == {NEAR_DUPLICATE: len(trained)}
    assert len(rows(build(tmp_path, lines, same, near_duplicates="keep"))) > len(trained)
    assert len(rows(build(tmp_path, lines))) == 2 * len(trained), "with other answers both teach something"


def test_a_row_that_asks_nearly_what_a_benchmark_asks_is_left_out(tmp_path: Path) -> None:
    lines = failures(12)
    trained = build(tmp_path, lines).manifest.split.train[0]
    asked = question("bench-1", reworded(prose(int(trained[1:]))))
    built = build(tmp_path, lines, None, [asked])
    assert trained not in {row["question_id"] for row in rows(built)}
    assert trained not in built.manifest.split.targeted
    [line] = left_out(built)
    assert (line.question_id, line.reason, line.like) == (trained, NEAR_BENCHMARK, "bench-1")
    kept = build(tmp_path, lines, None, [asked], contamination="warn")
    assert trained in {row["question_id"] for row in rows(kept)}
    assert [line.action for line in left_out(kept)] == ["doubted"]
    assert kept.manifest.counts.doubted == {NEAR_BENCHMARK: 1}
    assert any("1 training row asks what a benchmark question asks" in text for text in kept.manifest.warnings)
    own = question(trained, reworded(prose(int(trained[1:]))))
    assert left_out(build(tmp_path, lines, None, [own])) == [], "its own question of the benchmark"


def test_the_last_user_turn_is_compared_alone(tmp_path: Path) -> None:
    """The benchmark asks in the middle of a talk what the log asks at its beginning."""
    lines = failures(12)
    trained = build(tmp_path, lines).manifest.split.train[0]
    talk = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello, what is it?"},
        {"role": "user", "content": f" {prose(int(trained[1:])).upper()}"},
    ]
    asked = question("bench-1", None, messages=talk)
    [line] = left_out(build(tmp_path, lines, None, [asked]))
    assert (line.question_id, line.reason, line.like) == (trained, SAME_TURN, "bench-1")


def test_a_row_left_out_guards_the_others_in_its_turn(tmp_path: Path) -> None:
    """The benchmark asks q's own question in words nearer to another row's: q is out, so the other row is too."""
    base = prose(99, 14).split()
    one, two, three = (" ".join([*base[: 14 - n], *["otherwise"] * n]) for n in (0, 1, 2))
    lines = [*failures(12), run("one", question=one), run("two", question=three)]
    questions = [question("bench", reworded(one)), question("one", two)]
    for seed in range(8):
        built = build(tmp_path, lines, None, questions, seed=seed, near_duplicates="keep")
        if "one" not in built.manifest.split.held_out:
            assert not {"one", "two"} & {row["question_id"] for row in rows(built)}


def test_one_instruction_on_other_evidence_is_another_question(tmp_path: Path) -> None:
    lines = [
        run(f"q{n:02d}", question="Which function is defined here?", evidence_text=prose(n, 40)) for n in range(12)
    ]
    benchmark = [
        question("b", f"{prose(50, 40)}\n\nWhich function is defined here?", question="Which function is defined here?")
    ]
    assert left_out(build(tmp_path, lines, None, benchmark)) == []
    evidence = prose(1, 40)
    lines = [run(f"q{n:02d}", question=prose(n), evidence_text=evidence) for n in range(12)]
    benchmark = [question("b", f"{evidence}\n\n{prose(50)}", question=prose(50))]
    assert left_out(build(tmp_path, lines, None, benchmark)) == []


def test_a_template_and_other_numbers_do_not_make_questions_alike(tmp_path: Path) -> None:
    form = "Read the ticket below and answer as JSON with the keys order, name and wish. Ticket: "
    lines = [run(f"q{n:02d}", question=form + prose(n, 3)) for n in range(12)]
    lines += [run(f"n{n:02d}", question=f"{prose(77)} order {5000 + n}?") for n in range(3)]
    same = corrected(lines, **{line["question_id"]: "the same" for line in lines})
    assert left_out(build(tmp_path, lines, same)) == []


def test_if_all_questions_are_alike_they_are_drawn_apart_with_a_warning(tmp_path: Path) -> None:
    lines = [run(f"q{n}", question=" ".join([*prose(1).split()[:-1], f"{'abc'[n] * 6}"])) for n in range(3)]
    manifest = build(tmp_path, lines).manifest
    assert manifest.split.held_out
    assert any("ask nearly the same" in warning for warning in manifest.warnings)


def test_a_build_of_which_nothing_is_left_says_why(tmp_path: Path) -> None:
    lines = failures(4)
    benchmark = [question(f"b{n}", reworded(prose(n))) for n in range(4)]
    with pytest.raises(
        PreconditionError, match=r"every training row was left out .*contamination.*--contamination warn"
    ):
        build(tmp_path, lines, None, benchmark)


def test_replay_rows_pass_the_same_gates(tmp_path: Path) -> None:
    """One near a benchmark question, one near a targeted one, two near each other: others take their places."""
    lines = [*failures(12), *(passing(f"ok-{n}", question=prose(200 + n), answer="fine") for n in range(10))]
    lines += [
        passing("near-bench", question=reworded(prose(300)), answer="fine"),
        passing("near-target", question=reworded(prose(0)), answer="fine"),
        passing("near-ok", question=reworded(prose(200)), answer="fine"),
    ]
    built = build(tmp_path, lines, None, [question("b", prose(300))], anchor_ratio=10, anchor_pool_share=1.0)
    assert len(built.manifest.split.anchors) == 10
    found = {line.reason: (line.question_id, line.like) for line in left_out(built)}
    assert found[f"anchor: {NEAR_BENCHMARK}"] == ("near-bench", "b")
    assert found["anchor: a targeted question asks nearly the same"] == ("near-target", "q00")
    assert set(found["anchor: another anchor asks nearly the same and has the same answer"]) == {"near-ok", "ok-0"}


def test_every_row_that_is_not_trained_on_has_its_reason(tmp_path: Path) -> None:
    lines = [*failures(12), run("c1", question="same"), run("c2", question="same"), run("lonely", question=prose(40))]
    given = corrected(lines)
    del given["lonely"]
    found = {(line.question_id, line.reason) for line in left_out(build(tmp_path, lines, given))}
    conflict = "conflicting corrections of one prompt"
    assert found == {("c1", conflict), ("c2", conflict), ("lonely", "no correction")}


def test_a_crowd_of_copies_is_found_and_costs_no_more_than_one() -> None:
    base = prose(5, 20).split()
    index = Lookalikes(template_of([prose(n) for n in range(50)]))
    found = 0
    for n in range(700):
        text = " ".join([*base[:-1], prose(1000 + n, 1)])
        found += bool(index.add(str(n), Asked(text, text)))
    assert found == 699
    assert len(index) <= 501
