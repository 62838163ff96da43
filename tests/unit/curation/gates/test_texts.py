"""Secrets and personal data in a build: left out, masked or kept, as the spec says, and always counted. Doubtful corrections stay, with a warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.curation.gates.making import build, corrected, failures, left_out, passing, prose, rows, run

TOKEN = "ghp_" + "7aB3cD4eF5gH6iJ7kL8mN9oP0qR1sT2uV3wX"
IBAN = "DE89 3704 0044 0532 0130 00"


def with_texts() -> list[dict[str, Any]]:
    lines = failures(20, answer="wrong")
    secret = run("secret", question=f"{prose(90)} {TOKEN}")
    return [*lines, secret, run("iban", question=f"{prose(91)} {IBAN}")]


def trained(built: Any, question_id: str) -> list[str]:
    return [row["prompt"][0]["content"] for row in rows(built) if row["question_id"] == question_id]


def both_trained(folder: Path) -> int:
    """A seed under which neither question is held out."""
    for seed in range(20):
        split = build(folder, with_texts(), seed=seed, secrets="keep").manifest.split
        if not {"secret", "iban"} & set(split.held_out):
            return seed
    raise AssertionError("no seed")


def test_rows_with_secrets_are_left_out_masked_or_kept(tmp_path: Path) -> None:
    seed = both_trained(tmp_path)
    built = build(tmp_path, with_texts(), seed=seed)
    assert trained(built, "secret") == []
    assert [(line.question_id, line.reason) for line in left_out(built)] == [
        ("secret", "secret in its text: GitHub Token")
    ]
    assert TOKEN.encode() not in b"".join(built.files.values())
    masked = build(tmp_path, with_texts(), seed=seed, secrets="mask")
    assert trained(masked, "secret") == [f"{prose(90)} [SECRET]"]
    assert masked.manifest.counts.masked == {"secret in its text: GitHub Token": 1}
    assert masked.manifest.counts.secrets == {"GitHub Token": 1}
    assert [line.action for line in left_out(masked)] == ["masked"]
    kept = build(tmp_path, with_texts(), seed=seed, secrets="keep")
    assert TOKEN in trained(kept, "secret")[0]
    assert any("Rows hold secrets as they are (GitHub Token in 1)" in warning for warning in kept.manifest.warnings)


def test_personal_data_is_kept_with_a_warning_unless_the_spec_says_otherwise(tmp_path: Path) -> None:
    seed = both_trained(tmp_path)
    kept = build(tmp_path, with_texts(), seed=seed)
    assert IBAN in trained(kept, "iban")[0]
    assert kept.manifest.counts.personal_data == {"IBAN": 1}
    assert any("personal data as they are (IBAN in 1)" in warning for warning in kept.manifest.warnings)
    masked = build(tmp_path, with_texts(), seed=seed, personal_data="mask")
    assert trained(masked, "iban") == [f"{prose(91)} [IBAN]"]
    assert not any("personal data" in warning for warning in masked.manifest.warnings)
    dropped = build(tmp_path, with_texts(), seed=seed, personal_data="drop")
    assert trained(dropped, "iban") == []
    assert "iban" not in dropped.manifest.split.targeted
    assert dropped.manifest.counts.discarded["personal data in its text: IBAN"] == 1
    assert kept.manifest.version != masked.manifest.version != dropped.manifest.version


@pytest.mark.parametrize("format", ["dpo", "kto"])
def test_wrong_answers_are_read_too_where_they_are_in_a_row(tmp_path: Path, format: str) -> None:
    lines = [line | {"answer": f"it is {TOKEN}"} for line in failures(6)]
    built = build(tmp_path, lines, format=format, secrets="mask")
    assert TOKEN.encode() not in b"".join(built.files.values())
    assert b"[SECRET]" in built.files["train.jsonl"]


def test_a_replay_row_with_a_secret_gives_its_place_to_another(tmp_path: Path) -> None:
    lines = [*failures(6), *(passing(f"ok-{n}", question=prose(200 + n), answer=f"fine {n}") for n in range(4))]
    lines.append(passing("leaky", question=prose(300), answer=TOKEN))
    built = build(tmp_path, lines, anchor_ratio=10, anchor_pool_share=1.0)
    assert built.manifest.counts.anchors == 4
    assert [line.reason for line in left_out(built)] == ["anchor: secret in its text: GitHub Token"]


def test_doubtful_corrections_stay_and_are_named(tmp_path: Path) -> None:
    """Of twins that are answered apart, the only correction that is no JSON, and the only refusal."""
    lines = [*failures(40), run("twin", question=" ".join([*prose(0, 12).split(), "now"]))]
    texts = {line["question_id"]: json.dumps({"a": line["question_id"]}) for line in lines}
    texts |= {"q05": "a sentence", "q06": "I cannot help with that."}
    built = build(tmp_path, lines, corrected(lines, **texts), held_out_share=0.02, validation_share=0)
    found = {(line.question_id, line.action, line.reason.removeprefix("doubtful: ")[:20]) for line in left_out(built)}
    assert {
        ("twin", "doubted", "another question ask"),
        ("q05", "doubted", "it is no JSON object"),
        ("q06", "doubted", "it is no JSON object"),
        ("q06", "doubted", "the correction is a "),
    } >= found
    assert {line[0] for line in found} == {"twin", "q05", "q06"} - set(built.manifest.split.held_out)
    assert len(rows(built)) == len(built.manifest.split.train)
    assert any("corrections look doubtful" in warning for warning in built.manifest.warnings)
    most, one = lines[:-1], {name: text for name, text in texts.items() if name not in ("twin", "q06")}
    built = build(
        tmp_path, most, corrected(most, q06=json.dumps({"a": "q06"}), **one), held_out_share=0.02, validation_share=0
    )
    assert any(warning.startswith("1 correction looks doubtful (q05)") for warning in built.manifest.warnings)
    assert left_out(build(tmp_path, failures(12))) == [], "free text under one label is nothing to doubt"


def test_a_secret_does_not_hide_a_leak(tmp_path: Path) -> None:
    """A masked prompt is compared as it was before the mask."""
    lines = with_texts()
    twin = run("twin", question=f"otherwise {' '.join(prose(90).split()[1:])} {TOKEN}")
    for seed in range(4):
        split = build(tmp_path, [*lines, twin], seed=seed, secrets="mask").manifest.split
        assert ("twin" in split.held_out) == ("secret" in split.held_out)
