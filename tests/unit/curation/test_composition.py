"""What the manifest says a version is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.curation.gates.making import build, corrected, failures, passing, prose, question, run

from burnish.curation.composition import effective_number


def test_the_effective_number_of_clusters_is_that_of_equal_ones() -> None:
    assert effective_number([7, 7, 7]) == pytest.approx(3)
    assert effective_number([5]) == pytest.approx(1)
    assert effective_number([98, 1, 1]) == pytest.approx(1.12, abs=0.01)
    assert effective_number([]) == effective_number([0]) == 0


def test_labels_slices_authors_and_graders_are_counted(tmp_path: Path) -> None:
    lines = failures(10, slice="a", expected_answer="expected")
    lines += [run(f"w{n}", question=prose(60 + n), failure_label="wrong-field", correction="theirs") for n in range(6)]
    lines += [passing(f"ok-{n}", question=prose(80 + n)) for n in range(4)]
    given = corrected(lines, q00="expected", q01=" expected", w0="theirs", w1="theirs")
    benchmark = [
        question(q, next(line["question"] for line in lines if line["question_id"] == q)) for q in ("q02", "q03")
    ]
    fields = {"labels": ["not-json", "wrong-field"], "held_out_share": 0.1, "anchor_ratio": 1, "anchor_pool_share": 1.0}
    built = build(tmp_path, lines, given, benchmark, **fields)
    counts, trained = built.manifest.counts, {*built.manifest.split.train, *built.manifest.split.validation}
    assert counts.by_label == {
        "not-json": sum(q[0] == "q" for q in trained),
        "wrong-field": sum(q[0] == "w" for q in trained),
    }
    assert counts.by_slice == {"a": counts.by_label["not-json"], "(none)": counts.by_label["wrong-field"]}
    assert counts.effective_clusters == pytest.approx(effective_number(counts.by_label.values()))
    taken = {
        "the expected answer, accepted by a person": {"q00", "q01"},
        "a correction of the log, accepted by a person": {"w0", "w1"},
    }
    for who, questions in taken.items():
        assert counts.provenance.get(who, 0) == len(questions & trained)
    assert counts.provenance["the model's own passing answers"] == counts.anchors == 4
    assert sum(counts.provenance.values()) == counts.train + counts.validation
    assert counts.grader_verified == len({"q02", "q03"} & trained)
    card = built.files["README.md"].decode()
    assert f"Failure clusters trained on: not-json {counts.by_label['not-json']}, wrong-field" in card
    assert "written by a person" in card
