"""Corrections that their neighbours speak against: planted label errors are found, and right labels are not doubted."""

from __future__ import annotations

import random
from pathlib import Path

from cluster_making import intents
from unit.curation.gates.making import build, corrected, left_out, rows, run

from burnish.curation.gates.doubts import OTHERS_AGREE


def test_a_label_that_no_similar_question_has_is_doubted(tmp_path: Path) -> None:
    """500 questions of 22 kinds, on which nothing was tuned; one label in twenty is another kind's."""
    texts, labels = intents("held", 500, seed=4)
    draw, kinds = random.Random(4), sorted(set(labels))
    wrong = {n for n in range(len(texts)) if draw.random() < 0.05}
    given = {
        f"q{n:03d}": draw.choice([kind for kind in kinds if kind != label]) if n in wrong else label
        for n, label in enumerate(labels)
    }
    lines = [run(f"q{n:03d}", question=text) for n, text in enumerate(texts)]
    fields = {"held_out_share": 0.1, "near_duplicates": "keep", "secrets": "keep"}
    built = build(tmp_path, lines, corrected(lines, **given), **fields)
    trained = {row["question_id"] for row in rows(built)}
    planted = {f"q{n:03d}" for n in wrong} & trained
    found = [line for line in left_out(built) if line.reason == OTHERS_AGREE]
    hits = [line for line in found if line.question_id in planted]
    assert len(hits) >= len(found) - 1
    assert len(hits) >= 0.3 * len(planted) > 5
    for line in hits:
        assert line.action == "doubted"
        assert labels[int(line.question_id[1:])] == given[line.like or ""]
    right = build(tmp_path, lines, corrected(lines, **dict(zip(given, labels, strict=True))), **fields)
    assert len([line for line in left_out(right) if line.reason == OTHERS_AGREE]) <= 1
