"""Adapter and eval manifests for tests of the registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from adapter_making import make_manifest

from burnish.schemas.adapter import AdapterManifest, AliasChange
from burnish.schemas.base import Parent
from burnish.schemas.evaluation import EvalManifest, VerdictName
from burnish.schemas.models import BaseModelRecord

BASE = BaseModelRecord(name="tiny", digest="sha256:0", source="test", licence="none")
DATASET = Parent(kind="dataset", name="fix", digest="d" * 16)
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def version(letter: str) -> str:
    return letter * 16


def adapter(letter: str = "a", name: str = "fix", **changes: Any) -> AdapterManifest:
    parents = [DATASET, Parent(kind="base_model", name=BASE.name, digest=BASE.digest)]
    return make_manifest(name, {}, BASE, 4, **{"version": version(letter), "parents": parents} | changes)


def evaluation(
    verdict: VerdictName, letter: str = "a", number: int = 1, benchmark: str = "all/1", **changes: Any
) -> EvalManifest:
    """An eval of `adapter(letter)`, made `number` hours after the beginning."""
    parents = [
        Parent(kind="benchmark", name=benchmark.partition("/")[0], digest="1"),
        DATASET,
        Parent(kind="adapter", name="fix", digest=version(letter)),
        Parent(kind="base_model", name=BASE.name, digest=BASE.digest),
    ]
    facts: dict[str, Any] = {
        "id": f"eval{number}",
        "base_model": "tiny",
        "candidate_model": f"fix@{version(letter)}",
        "benchmark": benchmark,
        "verdict": verdict,
        "created_at": BEGINNING + timedelta(hours=number),
        "parents": parents,
    }
    return EvalManifest(**facts | changes)


def history(*steps: str, name: str = "fix", alias: str = "production", start: str | None = None) -> list[AliasChange]:
    """Changes by words: `+a` promotes a, `-a` rolls back to a, `-` to nothing, `x` removes the alias."""
    made: list[AliasChange] = []
    current = version(start) if start else None
    for number, step in enumerate(steps, 1):
        action = {"+": "promote", "-": "rollback", "x": "remove"}[step[0]]
        target = version(step[1:]) if step[1:] else None
        made.append(
            AliasChange.model_validate(
                {"name": name, "alias": alias, "number": number, "action": action, "by": "test"}
                | {"from_version": current, "to_version": target, "eval_id": f"eval-{step[1:]}"}
            )
        )
        current = target
    return made
