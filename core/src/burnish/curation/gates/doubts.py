"""Corrections that may be wrong. They stay in the rows: a person looks at them (`burnish dataset show NAME --left-out`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.screen import Screen
from burnish.curation.targets import Example
from burnish.grading.reading.json_text import JsonProblem, find_object
from burnish.grading.reading.refusal import is_refusal

ANSWERED_OTHERWISE = "doubtful: another question asks nearly the same and its correction says something else"
NOT_JSON = "doubtful: it is no JSON object, as the other corrections under its label are"
REFUSAL = "doubtful: the correction is a refusal, and the others under its label are none"
ODD_SHARE, LEAST_CORRECTIONS = (
    0.1,
    10,
)  # at most so many of a label's corrections are odd; with fewer corrections nothing is
CLOSE = 0.85  # Jaccard of two questions whose answers should agree


def doubt(examples: Sequence[Example], screen: Screen, ledger: Ledger) -> None:
    """examples: those that are trained on."""
    corrected = {example.key: example for example in examples if example.correction is not None}
    for example, like in screen.answered_otherwise(corrected, CLOSE):
        ledger.doubt(ANSWERED_OTHERWISE, [example.question_id], like)
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in corrected.values():
        by_label[example.label].append(example)
    for group in by_label.values():
        _odd(NOT_JSON, group, [e for e in group if isinstance(find_object(e.correction or ""), JsonProblem)], ledger)
        _odd(REFUSAL, group, [e for e in group if is_refusal(e.correction or "")], ledger)


def _odd(reason: str, group: Sequence[Example], odd: Sequence[Example], ledger: Ledger) -> None:
    if len(group) >= LEAST_CORRECTIONS and len(odd) <= ODD_SHARE * len(group):
        ledger.doubt(reason, sorted(example.question_id for example in odd))
