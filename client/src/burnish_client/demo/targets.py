"""Which failures the demo trains on, decided from the diagnosis, and how it fills the review file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import InvalidInputError, PreconditionError
from burnish.jsonl import to_jsonl
from burnish.schemas.runlog import Diagnosis, FailureCluster, ReviewItem


@dataclass(frozen=True)
class Target:
    """The clusters to train on. slice: the kind of question that fails most often."""

    clusters: tuple[FailureCluster, ...]
    slice: str

    @property
    def labels(self) -> list[str]:
        return [cluster.label for cluster in self.clusters]

    @property
    def sentence(self) -> str:
        """The rule and what it gave, for people."""
        first, *others = self.labels
        more = f"; with it {', '.join(others)}, found only there" if others else ""
        return f"targeted: {self.slice}, which fails most often, as {first}{more}"


def choose_target(diagnosis: Diagnosis) -> Target:
    """Of the kind of question that candidate clusters fail at most often: its largest cluster, and every other that fails there alone.

    One kind of question may fail in several ways (no JSON, JSON cut off): they are one thing to correct. Raises
    PreconditionError if no cluster is a candidate.
    """
    candidates = [cluster for cluster in diagnosis.clusters if cluster.candidate]
    if not candidates:
        reasons = "; ".join(f"{cluster.label}: {cluster.why_not}" for cluster in diagnosis.clusters) or "nothing failed"
        raise PreconditionError(f"no failure of this model is worth training on ({reasons}): try another --seed")
    failures: Counter[str] = Counter()
    for cluster in candidates:
        failures.update(cluster.slices)
    (kind, _) = failures.most_common(1)[0]
    largest = max(candidates, key=lambda cluster: cluster.slices.get(kind, 0))
    others = [cluster for cluster in candidates if cluster is not largest and set(cluster.slices) == {kind}]
    return Target((largest, *others), kind)


def fill_review_file(path: Path, known_good: Mapping[str, str]) -> int:
    """Write each question's known-good answer into `corrected_output`, as a person would. Returns how many."""
    items = [ReviewItem.model_validate_json(line) for line in path.read_bytes().splitlines() if line]
    unknown = [item.question_id for item in items if item.question_id not in known_good]
    if unknown:
        raise InvalidInputError(f"{path}: question {unknown[0]!r} is not in the benchmark", field="question_id")
    filled = [item.model_copy(update={"corrected_output": known_good[item.question_id]}) for item in items]
    path.write_bytes(to_jsonl(filled))
    return len(items)
