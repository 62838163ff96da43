"""Reviews as tables."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burnish.errors import InvalidInputError
from burnish.schemas.runlog import ReviewItem
from burnish_client.sdk.review_files import COLUMNS, from_csv, to_csv

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
ITEMS = st.builds(
    ReviewItem,
    question_id=TEXT.filter(bool),
    question=TEXT,
    original_answer=TEXT,
    failure_label=TEXT.filter(bool),
    corrected_output=TEXT,
    evidence_files=st.lists(TEXT, max_size=2),
    slice=st.none() | TEXT.filter(bool),
    state=st.sampled_from(["open", "corrected", "dismissed"]),
    reason=TEXT,
    version=st.none() | st.integers(0, 2**53),
    answer_a=TEXT,
    answer_b=TEXT,
    preference=st.sampled_from(["", "a", "tie", "up"]),
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ITEMS, max_size=5))
def test_a_table_gives_back_the_same_items(items: list[ReviewItem]) -> None:
    assert from_csv(to_csv(items)) == items


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'quoted"])
def test_no_cell_is_a_formula(text: str) -> None:
    item = ReviewItem(question_id=text, question=text, original_answer=text, failure_label=text)
    [_, cells] = csv.reader(io.StringIO(to_csv([item]).decode("utf-8-sig")))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert from_csv(to_csv([item])) == [item]


def test_a_table_of_another_hand_is_read_and_its_faults_are_named() -> None:
    few = "question_id;failure_label;state;reason;version\nq1;odd;dismissed;too vague;7\n;;;;\n".encode("utf-8-sig")
    [item] = from_csv(few)
    assert (item.state, item.reason, item.version, item.original_answer) == ("dismissed", "too vague", 7, "")
    for content, message in (
        (b"question_id,answer\nq1,x\n", "column 'answer' is not known"),
        (b"question_id,failure_label,state\nq1,odd,done\n", "line 2: state: Input should be 'open'"),
        (b"question_id,failure_label,evidence_files\nq1,odd,a.py\n", "line 2: evidence_files: not a JSON list"),
        (b"question_id\n\xff\n", "save it as CSV UTF-8"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            from_csv(content)
    assert COLUMNS[0] == "question_id"
