"""Grades a run log into a new one, line by line. What a killed call had graded stays in a file, and the next one goes on there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from burnish.curation.log_grading import LogGrader
from burnish.runlogs.json_lines import to_json
from burnish.runlogs.parsing import parse_line
from burnish.schemas.runlog import NO_GRADE, RunLogImport, RunLogLine, RunLogManifest
from burnish_client.sdk.curator import CuratorClient, Progress


@dataclass
class GradedLog:
    """answer: None if no line changed: then nothing was imported. resumed: lines that an earlier call had graded.

    found: grade and label -> lines that have got them.
    """

    answer: RunLogImport | None = None
    lines: int = 0
    resumed: int = 0
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    grades: Counter[str] = field(default_factory=Counter)

    @property
    def changed(self) -> int:
        return self.found.total()

    def add(self, before: RunLogLine, after: RunLogLine) -> None:
        self.lines += 1
        self.grades[after.grade or NO_GRADE] += 1
        if (before.grade, before.failure_label) != (after.grade, after.failure_label):
            self.found[after.grade or NO_GRADE, after.failure_label or ""] += 1


def grade_run_log(
    client: CuratorClient,
    manifest: RunLogManifest,
    grader: LogGrader,
    name: str,
    folder: Path,
    progress: Progress | None = None,
) -> GradedLog:
    """A run log of the same lines in the same order, with grades and labels where there were none; the old one stays, as its parent.

    folder: where the work is kept until it is imported. The same log and rules go on where a killed call stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{manifest.id}-{grader.key}.jsonl"
    done = GradedLog(resumed=_cut_torn_line(path))
    with path.open("rb") as earlier, path.open("ab") as out:
        for content in client.run_log_lines(manifest.id):
            before = parse_line(content)
            if done.lines < done.resumed:
                done.add(before, parse_line(earlier.readline()))
                continue
            after, _ = grader.graded(before)
            out.write(to_json(after) + b"\n")
            done.add(before, after)
    if done.changed:
        done.answer = client.import_run_log(path, name, progress, parent=manifest.id)
    path.unlink()
    return done


def _cut_torn_line(path: Path) -> int:
    """How many whole lines the file has; what a crash left of another is cut off."""
    path.touch()
    lines, end = 0, 0
    with path.open("r+b") as handle:
        for line in handle:
            if line.endswith(b"\n"):
                lines, end = lines + 1, end + len(line)
        handle.truncate(end)
    return lines
