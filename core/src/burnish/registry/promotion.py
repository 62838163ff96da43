"""Whether a version may be promoted, and where a rollback leads. Pure: what is stored comes in as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from burnish.errors import UnprovenError
from burnish.schemas.adapter import AdapterManifest, AliasChange
from burnish.schemas.base import Manifest
from burnish.schemas.evaluation import EvalManifest

BROKE_SOMETHING = ("investigate", "stop")


def find_evidence(adapter: AdapterManifest, evals: Iterable[EvalManifest]) -> EvalManifest:
    """The stored eval that allows this version's promotion.

    Of the evals of this very version the newest on each benchmark counts: one of them must say ship, and none that
    something broke. Raises UnprovenError, which names what is missing.
    """
    label = f"{adapter.name}@{adapter.version}"
    newest: dict[str, EvalManifest] = {}
    for one in sorted(evals, key=lambda each: (each.created_at, each.id)):
        if is_of(one, adapter):
            newest[one.benchmark.partition("/")[0]] = one
    if not newest:
        raise UnprovenError(
            f"no stored evaluation of {label} on the dataset that it was trained on: "
            f"`burnish eval --benchmark NAME --adapter {label}` makes one, `--override REASON` does without"
        )
    for one in newest.values():
        if one.verdict in BROKE_SOMETHING:
            raise UnprovenError(
                f"eval {one.id} of {label} on {one.benchmark} says {one.verdict}: "
                "read its report, or give a reason with `--override REASON`",
                eval_id=one.id,
            )
    ships = [one for one in newest.values() if one.verdict == "ship"]
    if not ships:
        found = ", ".join(f"{one.id} on {one.benchmark} says {one.verdict}" for one in newest.values())
        raise UnprovenError(
            f"no evaluation of {label} says ship ({found}): add what its report asks for and evaluate again, or give a "
            "reason with `--override REASON`"
        )
    return max(ships, key=lambda each: (each.created_at, each.id))


def is_of(one: EvalManifest, adapter: AdapterManifest) -> bool:
    """Whether an eval measured this very version on this base, with the split of a dataset that it was trained on."""
    datasets = parents_of(one, "dataset")
    return (
        one.candidate_model == f"{adapter.name}@{adapter.version}"
        and (adapter.name, adapter.version) in parents_of(one, "adapter")
        and adapter.base_model.digest in {digest for _, digest in parents_of(one, "base_model")}
        and bool(datasets)
        and datasets <= parents_of(adapter, "dataset")
    )


def parents_of(manifest: Manifest, kind: str) -> set[tuple[str, str]]:
    """(name, digest) of the parents of a kind."""
    return {(parent.name, parent.digest) for parent in manifest.parents if parent.kind == kind}


def versions_to_return_to(changes: Sequence[AliasChange]) -> list[str]:
    """What an alias named, as a stack: its version last, before it those that rollbacks lead to. changes: oldest first."""
    stack: list[str] = []
    for change in changes:
        if not stack and change.from_version is not None:
            stack.append(change.from_version)  # set by hand, before the first change
        if change.action == "promote" and change.to_version is not None:
            stack.append(change.to_version)
        elif change.action == "rollback" and change.to_version in stack:
            while stack[-1] != change.to_version:
                stack.pop()
        else:
            stack.clear()
    return stack


def rollback_target(stack: Sequence[str], exists: Callable[[str], bool]) -> str | None:
    """The nearest earlier version that still exists; None if there is none, and the alias then names no version."""
    return next((version for version in reversed(stack[:-1]) if exists(version)), None)


def rests_on(changes: Sequence[AliasChange], version: str) -> AliasChange | None:
    """The newest promotion to this version, with its eval or override; None if it was set by hand."""
    promotions = (change for change in reversed(changes) if change.action == "promote")
    return next((change for change in promotions if change.to_version == version), None)
