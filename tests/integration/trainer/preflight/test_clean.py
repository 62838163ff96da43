"""Sets with nothing wrong in them raise no finding, but for the warnings that are stated here."""

from __future__ import annotations

import pytest
from unit.trainer.preflight.sets import look, parted, preferences, stdlib, thumbs, tickets

from burnish_trainer.preflight.base_model import BaseModel
from burnish_trainer.preflight.types import CheckReport

pytestmark = pytest.mark.model


def codes(preparation: CheckReport) -> dict[str, str]:
    return {finding.code: finding.severity for finding in preparation.findings}


@pytest.mark.parametrize("seed", [0, 1])
def test_functions_of_the_standard_library(base: BaseModel, seed: int) -> None:
    """Code as evidence, the answer standing in it, one system prompt, five kinds of questions.

    The library does hold functions that are nearly the same (utf_32_be.decode and utf_32_le.decode): they may be warned of.
    """
    findings = {finding.code: finding for finding in look(base, *parted(stdlib(seed))).findings}
    near = findings.pop("near-duplicate-rows", None)
    assert findings == {}
    assert near is None or (near.severity == "warning" and near.count <= 6)


def test_the_example_s_tickets(base: BaseModel) -> None:
    """One template, differing in names and numbers."""
    assert codes(look(base, *parted(tickets()))) == {}


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo"])
def test_the_example_s_preferences(base: BaseModel, method: str) -> None:
    assert codes(look(base, *parted(preferences()), method=method)) == {}


def test_the_example_s_thumbs(base: BaseModel) -> None:
    assert codes(look(base, *parted(thumbs()), method="kto")) == {}


def test_a_set_without_anchors_and_validation_is_warned_of_that_alone(base: BaseModel) -> None:
    rows = [row.model_copy(update={"source": "correction"}) for row in stdlib()]
    found = codes(look(base, rows))
    found.pop("near-duplicate-rows", None)  # as above
    assert found == {"no-anchors": "warning", "no-validation-rows": "warning"}
