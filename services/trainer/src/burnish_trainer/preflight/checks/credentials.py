"""Secrets in the rows' text, by the rules that the gates of a dataset have. The secret itself is never put into a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from burnish.curation.gates.secrets import SecretScanner
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding


def check_secrets(records: Sequence[Record]) -> Iterable[Finding]:
    scanner = SecretScanner()
    found: dict[str, frozenset[str]] = {}
    for record in records:
        if kinds := frozenset().union(*(scanner.kinds(message.content) for message in record.messages)):
            found[record.question_id] = kinds
    if found:
        counts = Counter(kind for kinds in found.values() for kind in kinds)
        named = ", ".join(f"{kind} in {number}" for kind, number in sorted(counts.items()))
        yield finding(
            "secret-in-text",
            f"{len(found)} rows hold what looks like a secret ({named}): a trained model can be made to recite it. Revoke "
            "it if it is real, and replace it in the rows",
            found,
        )
