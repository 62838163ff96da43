"""Label files: a bad line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.errors import InvalidInputError
from burnish_client.evaluation.judging.calibration import HumanLabel, read_labels

GOOD = HumanLabel(question="Say good.", answer="good 0", expected="good", passed=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: .*Invalid JSON"),
        ('{"question": "q", "answer": "a", "expected": "e"}', "line 2: passed: Field required"),
        ('{"question": "q", "answer": "a", "expected": "e", "passed": "yes"}', "line 2: passed: .*boolean"),
        ('{"question": "q", "answer": "a", "expected": "", "passed": true}', "line 2: expected"),
        ('{"question": "q", "answer": "a", "expected": "e", "passed": true, "who": "me"}', "line 2: who"),
        (
            '{"question": "Say good.", "answer": "good 0", "expected": "good", "passed": false}',
            "the same answer as in line 1",
        ),
    ],
)
def test_bad_labels_name_their_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{GOOD.model_dump_json()}\n{line}\n")
    with pytest.raises(InvalidInputError, match=message):
        read_labels(path)
