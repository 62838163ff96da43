"""Which lines of two run logs are one run: a graded run log has the lines of the one that it was made from."""

from __future__ import annotations

from burnish.digests import canonical_json, version_of
from burnish.schemas.runlog import RunLogLine

SAME = ("question_id", "question", "system_prompt", "evidence_text", "answer", "run_id", "timestamp", "trace_id", "user_id")  # fmt: skip


def run_key(line: RunLogLine) -> str:
    """Equal for lines that say the same but for grade, label and feedback, which later imports may add."""
    return version_of(canonical_json([getattr(line, name) for name in SAME]))
