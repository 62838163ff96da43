"""Codes are stable and documented; accepting a refusal is possible only where the registry says so."""

from __future__ import annotations

import re

import pytest
from conftest import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st
from unit.trainer.preflight.sets import clean, manifest

from burnish.errors import InternalError
from burnish.schemas.training.tuning import NAMED_ROWS
from burnish_trainer.preflight.checks import advice
from burnish_trainer.preflight.registry import RULES, accept, finding

ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (refusal|warning) \| (yes|no|–) \|", re.MULTILINE)


def test_the_document_has_every_code_with_its_severity_and_whether_it_can_be_accepted() -> None:
    text = (REPOSITORY / "docs/preflight.md").read_text()
    accepted = {
        rule.code: "–" if rule.severity == "warning" else "yes" if rule.acceptable else "no" for rule in RULES.values()
    }
    assert ROW.findall(text) == [(rule.code, rule.severity, accepted[rule.code]) for rule in RULES.values()]


def test_the_first_rows_are_named_and_all_are_counted_once() -> None:
    rows = [f"q{number}" for number in range(30)]
    found = finding("field-empty", "message", [*rows, "q0"])
    assert found.question_ids == rows[:NAMED_ROWS]
    assert found.count == 30


def test_a_code_that_is_not_listed_is_our_defect() -> None:
    with pytest.raises(InternalError, match="not in the registry"):
        finding("unheard-of", "message")


@given(st.lists(st.sampled_from(sorted(RULES)), unique=True), st.lists(st.sampled_from(sorted(RULES)), unique=True))
def test_accepting_turns_just_the_acceptable_refusals_into_warnings(codes: list[str], accepted: list[str]) -> None:
    settled = accept([finding(code, "message") for code in codes], accepted)
    assert sorted(found.code for found in settled) == sorted(codes)
    for found in settled:
        rule = RULES[found.code]
        is_refusal = rule.severity == "refusal" and not (rule.acceptable and rule.code in accepted)
        assert found.severity == ("refusal" if is_refusal else "warning")
    severities = [found.severity for found in settled]
    assert severities == sorted(severities)  # refusals come first


def test_what_the_build_warned_of_is_a_finding() -> None:
    warned = manifest(clean("sft"), warnings=["Only 12 of 85 replay (anchor) rows could be had."])
    [found] = advice.check_manifest(warned)
    assert (found.code, found.severity, found.message) == ("dataset-warning", "warning", warned.warnings[0])
