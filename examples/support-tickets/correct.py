"""Play the part of the reviewer: fill in `corrected_output` of a review file from the known answers.

    python correct.py review.jsonl benchmark.jsonl > corrected.jsonl

With a log of your own the answers are not known: open review.jsonl in an editor, or the review page in a browser.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def rows(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


if __name__ == "__main__":
    review, benchmark = sys.argv[1:]
    known = {row["question_id"]: row["expected_answer"] for row in rows(benchmark)}
    for item in rows(review):
        print(json.dumps(item | {"corrected_output": known[item["question_id"]]}, ensure_ascii=False))
