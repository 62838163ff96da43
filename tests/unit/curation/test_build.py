"""Dataset versions: rows, splits, anchors, guards and the manifest, from small run logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runlog_making import open_log, passing, repeated_failures, run

from burnish.curation.build import Guard, build_dataset
from burnish.curation.leakage import check_leaks
from burnish.curation.lengths import CharacterLengths
from burnish.curation.output.sealing import BuiltDataset
from burnish.curation.review.items import Correction
from burnish.curation.targets import OTHER_PROMPT
from burnish.errors import LeakageError, PreconditionError
from burnish.schemas.base import Message, message_key
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.dataset import DatasetManifest, DatasetSpec

LINES = repeated_failures({"not-json": 10, "wrong-field": 10}, passing_questions=60)


def corrections(lines: list[dict[str, Any]], **changes: str) -> dict[str, Correction]:
    """A correction for every failing question of the log; changes override by question id, "" removes."""
    failing = {line["question_id"]: line["failure_label"] for line in lines if line["grade"] == "wrong"}
    texts = {question_id: changes.get(question_id, f"right {question_id}") for question_id in failing}
    return {q: Correction(q, failing[q], text) for q, text in texts.items() if text}


def spec(**fields: Any) -> DatasetSpec:
    base = {"name": "fix", "run_log_id": "log1", "labels": ["not-json", "wrong-field"]}
    return DatasetSpec.model_validate(base | fields)


class Workshop:
    """Builds from one log, in one folder a test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built = 0

    def build(
        self,
        lines: list[dict[str, Any]] = LINES,
        given: dict[str, Correction] | None = None,
        guard: Guard | None = None,
        **fields: Any,
    ) -> BuiltDataset:
        self._built += 1
        reader, codes = open_log(self._folder / str(self._built), lines)
        given = corrections(lines) if given is None else given
        return build_dataset(spec(**fields), reader, codes, given, CharacterLengths(), guard)

    def manifest(self, *args: Any, **fields: Any) -> DatasetManifest:
        return self.build(*args, **fields).manifest


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def rows(built: BuiltDataset, file: str = "train.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in built.files[file].splitlines()]


def every_row(built: BuiltDataset) -> list[dict[str, Any]]:
    return rows(built) + rows(built, "validation.jsonl")


def question(question_id: str, prompt: str | None, **fields: Any) -> BenchmarkQuestion:
    return BenchmarkQuestion(
        question_id=question_id,
        prompt=prompt,
        expected_answer=f"right {question_id}",
        grader=GraderSpec(name="exact"),
        **fields,
    )


def test_sft_rows_are_prompts_with_corrections_and_anchors(workshop: Workshop) -> None:
    built = workshop.build()
    manifest = built.manifest
    assert (len(manifest.split.targeted), len(manifest.split.held_out)) == (20, 6)
    assert (manifest.counts.corrections, manifest.counts.anchors, manifest.counts.held_out) == (14, 7, 6)
    assert (manifest.counts.train, manifest.counts.validation) == (
        len(rows(built)),
        len(rows(built, "validation.jsonl")),
    )
    by_id = {row["question_id"]: row for row in every_row(built)}
    trained = {q for q, row in by_id.items() if row["source"] == "correction"}
    assert trained == set(manifest.split.train) | set(manifest.split.validation)
    first = manifest.split.train[0]
    assert by_id[first]["prompt"] == [{"role": "user", "content": f"What is {first}?"}]
    assert by_id[first]["completion"] == [{"role": "assistant", "content": f"right {first}"}]
    anchor = manifest.split.anchors[0]
    assert by_id[anchor]["completion"] == [{"role": "assistant", "content": f"right {anchor}"}]


def test_dpo_rows_pair_the_correction_with_the_models_own_wrong_answer(workshop: Workshop) -> None:
    built = workshop.build(format="dpo")
    assert built.manifest.counts.anchors == 0
    for row in every_row(built):
        assert row["source"] == "correction"
        assert row["chosen"] == [{"role": "assistant", "content": f"right {row['question_id']}"}]
        assert row["rejected"] == [{"role": "assistant", "content": "wrong answer"}]


def test_kto_rows_are_corrections_and_anchors_wanted_and_the_models_own_wrong_answers_not(workshop: Workshop) -> None:
    built = workshop.build(format="kto")
    counts, sft = built.manifest.counts, workshop.manifest(format="sft")
    assert (counts.corrections, counts.anchors, counts.held_out) == (14, 7, 6)
    assert counts.train + counts.validation == 2 * 14 + 7 == len(every_row(built))
    assert built.manifest.split == sft.split
    said: dict[str, set[str]] = {"correction": set(), "logged": set(), "anchor": set()}
    for row in every_row(built):
        [answer] = row["completion"]
        expected = "wrong answer" if row["source"] == "logged" else f"right {row['question_id']}"
        assert (answer["role"], answer["content"]) == ("assistant", expected)
        assert row["label"] is (row["source"] != "logged")
        said[row["source"]].add(row["question_id"])
    assert said["correction"] == said["logged"] == set(sft.split.train) | set(sft.split.validation)
    assert said["anchor"] == set(sft.split.anchors)
    assert "14 rows are wrong answers that the model gave, labelled unwanted" in built.files["README.md"].decode()
    assert [row["question_id"] for row in rows(built)] == [
        row["question_id"] for row in rows(workshop.build(format="kto"))
    ]


def test_both_kto_rows_of_a_question_are_in_the_same_file(workshop: Workshop) -> None:
    built = workshop.build(format="kto", validation_share=0.5)
    train, validation = (
        {row["question_id"] for row in rows(built, file)} for file in ("train.jsonl", "validation.jsonl")
    )
    assert train
    assert validation
    assert not train & validation


def test_of_an_empty_wrong_answer_there_is_no_kto_row(workshop: Workshop) -> None:
    lines = [line | {"answer": " "} for line in repeated_failures({"not-json": 4})]
    built = workshop.build(lines, labels=["not-json"], format="kto", validation_share=0)
    assert [row["source"] for row in every_row(built)] == ["correction"] * 3
    assert built.manifest.counts.discarded == {"unwanted answer: it is empty": 3}


def test_kto_keeps_bad_answers_that_nobody_corrected(workshop: Workshop) -> None:
    lines = repeated_failures({"not-json": 80}, passing_questions=60)
    built = workshop.build(lines, {}, labels=["not-json"], format="kto", anchor_pool_share=1.0)
    counts = built.manifest.counts
    assert (counts.corrections, counts.held_out, counts.anchors) == (0, 24, 28)
    assert sum(row["source"] == "logged" and not row["label"] for row in every_row(built)) == 56
    alone = workshop.manifest(lines, {}, labels=["not-json"], format="kto", anchor_ratio=0)
    assert any("Every row is an unwanted answer" in warning for warning in alone.warnings)
    with pytest.raises(PreconditionError, match="80 × no correction"):
        workshop.build(lines, {}, labels=["not-json"], format="kto", uncorrected=False)


def test_kto_holds_out_the_same_corrected_questions_as_the_other_formats(workshop: Workshop) -> None:
    lines = repeated_failures({"not-json": 40})
    some = {q: c for q, c in corrections(lines).items() if q < "not-json-020"}
    sft, kto = (workshop.manifest(lines, some, labels=["not-json"], format=f).split for f in ("sft", "kto"))
    for part in ("held_out", "train", "validation"):
        assert {q for q in getattr(kto, part) if q in some} == set(getattr(sft, part))
    assert len(kto.held_out) == 12
    assert set(kto.targeted) == set(corrections(lines))


def test_an_uncorrected_question_goes_where_its_prompt_is(workshop: Workshop) -> None:
    """It shares a prompt with a corrected one in a later run only."""
    lines = [*repeated_failures({"not-json": 10}), *(run(f"bad-{n}") for n in range(10))]
    lines += [run(f"bad-{n}", question=f"what is not-json-00{n}?", run_id="r9") for n in range(10)]
    given = {q: c for q, c in corrections(lines).items() if q.startswith("not-json")}
    for seed in range(4):
        split = workshop.manifest(lines, given, labels=["not-json"], format="kto", seed=seed).split
        for part in (split.held_out, split.train, split.validation):
            assert {q[-1] for q in part if q.startswith("bad")} == {q[-1] for q in part if q.startswith("not")}


def test_the_same_inputs_give_the_same_version(workshop: Workshop) -> None:
    first, again = workshop.build(), workshop.build()
    assert (first.manifest.version, first.files) == (again.manifest.version, again.files)
    assert workshop.manifest(seed=1).version != first.manifest.version
    changed = corrections(LINES, **{first.manifest.split.train[0]: "another text"})
    assert workshop.manifest(given=changed).version != first.manifest.version


def test_the_held_out_part_does_not_depend_on_format_or_anchors(workshop: Workshop) -> None:
    held_out = workshop.manifest().split.held_out
    assert workshop.manifest(format="dpo").split.held_out == held_out
    assert workshop.manifest(format="kto").split.held_out == held_out
    assert workshop.manifest(anchor_ratio=3, anchor_pool_share=1.0).split.held_out == held_out
    assert workshop.manifest(validation_share=0.4).split.held_out == held_out


def test_a_new_correction_that_falls_to_the_held_out_part_is_a_new_version(workshop: Workshop) -> None:
    """Its rows may be the same: the version covers the split too."""
    whole = workshop.manifest()
    for missing in whole.split.held_out:
        fewer = workshop.manifest(given=corrections(LINES, **{missing: ""}))
        assert fewer.version != whole.version


def test_no_prompt_straddles_the_split(workshop: Workshop) -> None:
    """Two questions, one prompt (but for case and space): together, one row, counted."""
    twins = [
        run(f"twin-{n}-{i}", question=f"Twin   {n}" if i else f"twin {n}", run_id="r1")
        for n in range(8)
        for i in (0, 1)
    ]
    same = corrections(twins, **{t["question_id"]: f"right {t['question_id'][:-2]}" for t in twins})
    built = workshop.build(twins, same, labels=["not-json"])
    split = built.manifest.split
    for part in (split.held_out, split.train, split.validation):
        assert {q[:-1] + "0" for q in part} == {q for q in part if q.endswith("0")}
        assert len(part) % 2 == 0
    assert built.manifest.counts.discarded == {"duplicate: another question has the same prompt": 8}
    assert built.manifest.counts.corrections == (len(split.train) + len(split.validation)) / 2


def test_evidence_that_changes_from_run_to_run_does_not_break_the_split(workshop: Workshop) -> None:
    """q0 and q1 meet in a prompt of a later run only: they still stay together, whatever the seed."""
    lines = [run(f"q{n}") for n in range(6)]
    lines += [run("q0", question="shared", run_id="r2"), run("q1", question="shared", run_id="r2")]
    for seed in range(8):
        held_out = set(workshop.manifest(lines, labels=["not-json"], seed=seed).split.held_out)
        assert len(held_out & {"q0", "q1"}) in (0, 2)


def test_discards_are_counted_by_reason(workshop: Workshop) -> None:
    conflict = [run("c1", question="same"), run("c2", question="same")]
    lines = [*LINES, *conflict]
    given = corrections(lines, **{"not-json-000": "", "not-json-001": ""})
    benchmark = Guard([question("not-json-002", "elsewhere", benchmark_only=True)])
    found = workshop.manifest(lines, given, benchmark, benchmark="b/1").counts.discarded
    assert found == {"no correction": 2, "conflicting corrections of one prompt": 2, "benchmark_only": 1}


def test_a_log_of_whole_conversations_is_not_trained_on(workshop: Workshop) -> None:
    """Its prompts end with the answer itself; the other lines are used."""
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "wrong answer"}]
    lines = [
        *LINES,
        run("talk", messages=chat),
        passing("chat", messages=[{"role": "user", "content": "b"}, *chat[1:]]),
    ]
    found = workshop.manifest(lines, anchor_ratio=10, anchor_pool_share=1.0)
    assert found.counts.discarded == {
        "anchor: messages end with the model's own turn": 1,
        "messages end with the model's own turn: log what it was sent, without its answer": 1,
    }
    assert "talk" not in found.split.targeted
    assert "chat" not in found.split.anchors


def test_a_correction_that_is_wrong_under_another_label_is_not_trained_on(workshop: Workshop) -> None:
    lines = [*LINES, run("both", answer="x"), run("both", failure_label="wrong-field", answer="y")]
    found = workshop.manifest(lines, corrections(lines, both="y"), labels=["wrong-field"])
    assert found.counts.discarded == {"the correction repeats the wrong answer": 1}


def test_nothing_to_build_from_says_what_to_do(workshop: Workshop) -> None:
    told = r"20 × no correction.*burnish review export log1 --label 'not-json'.*`burnish review import FILE --run-log log1`.*--format kto"
    with pytest.raises(PreconditionError, match=told):
        workshop.build(given={})
    with pytest.raises(PreconditionError, match="at least 2 questions"):
        workshop.build(given={"not-json-000": Correction("not-json-000", "not-json", "right")})


def test_anchors_come_from_questions_that_always_pass(workshop: Workshop) -> None:
    """One failure in any run, even for lack of evidence, keeps a question out."""
    lines = [*LINES, run("ok-000", run_id="r9", retrieval_hit=False), run("ok-001", run_id="r9", failure_label="other")]
    anchors = workshop.manifest(lines, anchor_ratio=10, anchor_pool_share=1.0).split.anchors
    assert anchors == [f"ok-{n:03d}" for n in range(2, 60)]


def test_anchors_are_whole_answers(workshop: Workshop) -> None:
    lines = [{**line, "finish_reason": "length" if line["question_id"] < "ok-020" else "stop"} for line in LINES]
    found = workshop.manifest(lines, anchor_ratio=10, anchor_pool_share=1.0)
    assert found.split.anchors == [f"ok-{n:03d}" for n in range(20, 60)]
    assert found.counts.discarded == {"anchor: the answer was cut off at its token limit": 20}


def test_anchors_are_spread_over_slices_and_leave_the_pool_share_alone(workshop: Workshop) -> None:
    anchors = workshop.manifest(anchor_ratio=0.86).split.anchors
    assert len(anchors) == 12
    assert [sum(int(q[3:]) % 3 == s for q in anchors) for s in range(3)] == [4, 4, 4]
    most = set(workshop.manifest(anchor_ratio=10, anchor_pool_share=0.5).split.anchors)
    assert len(most) == 30
    assert set(anchors) <= most


def test_anchors_are_spread_as_the_rest_questions_are(workshop: Workshop) -> None:
    """The run log has 20 passing questions of each slice; the benchmark asks slice-0 four times as often as the others."""
    asked = [question(f"ok-{n:03d}", f"What is ok-{n:03d}?", slice=f"slice-{n % 3}") for n in range(60)]
    asked += [question(f"more-{n}", f"More {n}", slice="slice-0") for n in range(60)]
    found = workshop.manifest(guard=Guard(asked), benchmark="b/1", anchor_ratio=0.86, anchor_pool_share=1.0)
    assert found.counts.anchors_by_slice == {"slice-0": 8, "slice-1": 2, "slice-2": 2}
    assert found.counts.anchors_wanted == 12


def test_too_few_replay_rows_are_warned_of_with_what_to_do(workshop: Workshop) -> None:
    lines = [*LINES, *(run(f"lost-{n}", failure_label="other", slice="poor") for n in range(60))]
    found = workshop.manifest(lines, anchor_ratio=6)
    [warning] = [w for w in found.warnings if "replay" in w]
    assert warning.startswith("Only 30 of 84 replay (anchor) rows could be had; by slice: poor (0 of 42)")
    assert "raise `--anchor-pool-share` (0.5 now)" in warning
    assert not [w for w in workshop.manifest().warnings if "replay" in w]
    assert not [w for w in workshop.manifest(format="dpo").warnings if "replay" in w]


def test_replay_rows_are_the_models_own_answers(workshop: Workshop) -> None:
    lines = [line | {"model": "small"} for line in LINES]
    lines = [
        line | {"model": "large"} if line["question_id"] < "ok-050" and line["grade"] == "correct" else line
        for line in lines
    ]
    lines.append(run("other-000", model="large"))
    found = workshop.manifest(lines, anchor_ratio=10, anchor_pool_share=1.0)
    assert found.split.anchors == [f"ok-{n:03d}" for n in range(50, 60)]
    assert found.counts.discarded["anchor: only another model's answers pass"] == 50
    assert "1 of 21 targeted questions failed under another model than small (large: 1)" in " ".join(found.warnings)


def test_a_verdict_out_of_reach_is_said_at_the_build(workshop: Workshop) -> None:
    [warning] = workshop.manifest().warnings
    assert warning.startswith("With 6 held-out targeted questions and 53 others, an adapter that fixes every target")
    assert "will get the verdict inconclusive" in warning
    assert "more questions outside the target" in warning
    enough = repeated_failures({"not-json": 40}, passing_questions=300)
    assert workshop.manifest(enough, labels=["not-json"]).warnings == []


def test_anchors_never_carry_a_guarded_prompt(workshop: Workshop) -> None:
    """Another benchmark question's prompt, a targeted prompt, one taken already, or benchmark_only: passed over, counted."""
    lines = [
        *repeated_failures({"not-json": 10}),
        passing("mine", question="own"),
        passing("theirs", question="guarded"),
        passing("target", question="WHAT is  not-json-003?"),
        passing("twin-1", question="twin"),
        passing("twin-2", question="twin"),
        passing("never", question="never"),
        passing("mute", question="mute", answer=" "),
    ]
    benchmark = [question("mine", "own"), question("other", "guarded"), question("never", "never", benchmark_only=True)]
    found = workshop.manifest(
        lines, guard=Guard(benchmark), labels=["not-json"], anchor_ratio=10, anchor_pool_share=1.0, benchmark="b/1"
    )
    assert found.split.anchors in (["mine", "twin-1"], ["mine", "twin-2"])
    assert found.counts.discarded == {
        "anchor: a targeted or guarded question has the same prompt": 2,
        "anchor: another anchor has the same prompt": 1,
        "anchor: benchmark_only": 1,
        "anchor: the passing answer is empty": 1,
    }


def test_a_correction_with_a_guarded_prompt_is_a_leak(workshop: Workshop) -> None:
    """The benchmark asks the same under another id, so training on it would be training on the test."""
    trained = workshop.manifest().split.train[0]
    for fields in ({}, {"benchmark_only": True}):
        guard = Guard([question("bench-1", f"what is {trained}?  ", **fields)])
        with pytest.raises(LeakageError, match=f"{trained} has the prompt of benchmark question bench-1") as caught:
            workshop.build(guard=guard, benchmark="b/1")
        assert caught.value.metadata["question_ids"] == trained


def test_another_system_prompt_hides_nothing(workshop: Workshop) -> None:
    trained = workshop.manifest().split.train[0]
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": f"What is {trained}?"},
    ]
    guard = Guard([question("bench-1", None, messages=messages)])
    with pytest.raises(LeakageError, match=f"{trained} has the prompt of benchmark question bench-1"):
        workshop.build(guard=guard, benchmark="b/1")


def test_questions_that_differ_by_the_system_prompt_stay_on_one_side(workshop: Workshop) -> None:
    lines = [
        run(f"q{n}-{style}", question=f"Ask {n}", system_prompt=style) for n in range(8) for style in ("brief", "long")
    ]
    for seed in range(4):
        split = workshop.manifest(lines, corrections(lines), labels=["not-json"], seed=seed).split
        for part in (split.held_out, split.train, split.validation):
            assert sorted(q for q in part if q.endswith("brief")) == sorted(
                q.replace("long", "brief") for q in part if q.endswith("long")
            )


def test_a_correction_stays_with_the_prompt_that_it_was_made_for(workshop: Workshop) -> None:
    """One question id, two prompts, a label each: the reviewer saw the second one."""
    both = [run("both", failure_label="wrong-field", question="first"), run("both", question="second")]
    lines = [*both, *repeated_failures({"not-json": 10, "wrong-field": 4})]
    given = corrections(lines)
    given["both"] = Correction("both", "not-json", "right")
    for seed in range(6):
        asked = [
            row["prompt"][0]["content"]
            for row in every_row(workshop.build(lines, given, seed=seed))
            if row["question_id"] == "both"
        ]
        assert asked in ([], ["second"])
    found = workshop.manifest(lines, given, labels=["wrong-field"])
    assert found.counts.discarded == {"the correction was made for another prompt of this question": 1}


ASKED_TWICE = [run("both", slice=name, question=f"Asked of {name}", answer=f"wrong {name}") for name in ("a", "b")]
OTHERS = repeated_failures({"not-json": 10})


def key_of(words: str) -> str:
    return message_key([Message(role="user", content=words)])


def asked_of_both(built: BuiltDataset) -> list[str]:
    """What the rows ask of it, with the wrong answers."""
    rows_of_it = [row for row in every_row(built) if row["question_id"] == "both"]
    return [f"{row['prompt'][0]['content']}: {row['rejected'][0]['content']}" for row in rows_of_it]


def test_a_correction_made_in_a_slice_is_used_for_the_prompt_of_that_slice(workshop: Workshop) -> None:
    """The log's first failure of the question is another one, under the same label."""
    lines = [*ASKED_TWICE, *OTHERS]
    given = corrections(lines) | {"both": Correction("both", "not-json", "right", key_of("Asked of b"))}
    found = [asked_of_both(workshop.build(lines, given, labels=["not-json"], format="dpo", seed=n)) for n in range(6)]
    assert [] in found
    assert [each for each in found if each] == [["Asked of b: wrong b"]] * (6 - found.count([]))
    built = workshop.build(lines, given, labels=["not-json"], slices=["a", "(none)"], seed=1)
    assert built.manifest.counts.discarded == {"the correction was made for another prompt of this question": 1}
    [line] = [each for each in rows(built, "left-out.jsonl") if each["question_id"] == "both"]
    assert (line["action"], line["reason"]) == ("left out", OTHER_PROMPT)


def test_corrections_that_do_not_say_their_prompt_count_as_before_and_are_named(workshop: Workshop) -> None:
    """The question failed with two prompts; those that failed with one are not named."""
    lines = [*ASKED_TWICE, *OTHERS]
    found = [workshop.build(lines, labels=["not-json"], format="dpo", seed=n) for n in range(6)]
    assert {words for built in found for words in asked_of_both(built)} == {"Asked of a: wrong a"}
    for built in found:
        [warning] = [each for each in built.manifest.warnings if "prompt" in each]
        assert warning.startswith("1 correction does not say for which prompt it was written")
        assert "(both)" in warning
    given = corrections(lines) | {"both": Correction("both", "not-json", "right", key_of("Asked of a"))}
    said = workshop.manifest(lines, given, labels=["not-json"], format="dpo").warnings
    assert not [each for each in said if "prompt" in each]


def test_a_correction_that_its_own_grader_fails_is_no_row(workshop: Workshop) -> None:
    """By the benchmark's grader, or, without a benchmark, by the run log's."""
    labels = GraderSpec(name="one_of", args={"labels": ["right not-json-001", "other"]})
    reply = corrections(LINES, **{"not-json-000": "The right label here is clearly the first."})
    asked = [("not-json-000", "right not-json-001"), ("not-json-001", "right not-json-001")]
    guard = Guard(
        [
            BenchmarkQuestion(question_id=q, prompt=f"What is {q}?", expected_answer=expected, grader=labels)
            for q, expected in asked
        ]
    )
    found = workshop.manifest(LINES, reply, guard, benchmark="b/1")
    assert found.counts.discarded == {"the correction fails the question's own grader": 1}
    logged = [
        line | {"grader": labels.model_dump(), "expected_answer": "other"}
        if line["question_id"] == "not-json-000"
        else line
        for line in LINES
    ]
    assert workshop.manifest(logged, reply).counts.discarded == {"the correction fails the question's own grader": 1}


def test_only_questions_of_the_chosen_slices_are_targeted(workshop: Workshop) -> None:
    lines = [line | {"slice": line["failure_label"] or line["slice"]} for line in LINES]
    one = workshop.manifest(lines, slices=["not-json"])
    assert len(one.split.targeted) == 10
    assert {q[:8] for q in one.split.targeted} == {"not-json"}
    assert one.version != workshop.manifest(lines).version


def test_a_benchmark_with_the_same_ids_is_no_leak(workshop: Workshop) -> None:
    ids = {line["question_id"] for line in LINES}
    guard = Guard([question(q, f"What is {q}?") for q in sorted(ids)])
    built = workshop.build(guard=guard, benchmark="b/1")
    assert built.manifest.counts.held_out == 6
    assert [(p.kind, p.name, p.digest) for p in built.manifest.parents][2] == ("benchmark", "b", "1")


def test_the_contamination_check_names_both_sides() -> None:
    with pytest.raises(
        LeakageError, match=r"2 training row.*t1 has the prompt of held-out question h1; t1 .* benchmark question b1"
    ):
        check_leaks([("t1", "k1"), ("t2", "k2")], held_out={"k1": {"h1"}}, benchmark={"k1": {"b1"}, "k3": {"b3"}})
    check_leaks([("t2", "k2")], held_out={"k1": {"h1"}}, benchmark={})


def test_the_manifest_describes_the_files(workshop: Workshop) -> None:
    built = workshop.build()
    assert {e.path: e.size_bytes for e in built.manifest.files} == {n: len(d) for n, d in built.files.items()}
    assert set(built.files) == {"train.jsonl", "validation.jsonl", "left-out.jsonl", "README.md"}
    assert next((p.kind, p.digest) for p in built.manifest.parents) == ("runlog", "log1")
    lengths = [len(row["prompt"][0]["content"]) + len(row["completion"][0]["content"]) for row in every_row(built)]
    assert (built.manifest.lengths.unit, built.manifest.lengths.total) == ("characters", sum(lengths))
    card = built.files["README.md"].decode()
    assert "6 of 20 targeted questions are held out (30 %)" in card
    assert built.manifest.version in card


def test_a_dpo_row_is_as_long_as_its_longer_answer(workshop: Workshop) -> None:
    lines = repeated_failures({"not-json": 2})
    given = corrections(lines, **{"not-json-000": "x" * 500, "not-json-001": "x" * 500})
    built = workshop.build(lines, given, labels=["not-json"], format="dpo", validation_share=0)
    assert built.manifest.lengths.total == 500 + len("What is not-json-000?")
