"""Aliases, their changes, and what a prune would remove, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from burnish.layout import PRODUCTION
from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.adapter import Alias, AliasChange
    from burnish_client.sdk.adapters import AdapterUse


def alias_line(alias: Alias) -> str:
    """`tickets → 0aa6517d9f91a596  eval 0046… says ship  2026-11-28 22:40 by ada@laptop`"""
    name = alias.name if alias.alias == PRODUCTION else f"{alias.name}@{alias.alias}"
    line = f"[bold]{name}[/] → {alias.version or '[yellow]no version: requests for this name are refused[/]'}"
    if (change := alias.change) is None:
        return f"{line}  set by hand"
    basis = f"  {_basis(change)}" if alias.version else ""
    return f"{line}{basis}  [dim]{console.when(change.at)} by {escape(change.by)}[/]"


def change_line(change: AliasChange) -> str:
    words = {"promote": "promoted", "rollback": "rolled back", "remove": "removed"}
    line = f"{change.number}  {console.when(change.at)}  [bold]{words[change.action]}[/]"
    line += f"  {change.from_version or 'no version'} → {change.to_version or 'no version'}"
    line += f"  {_basis(change)}" if change.to_version else ""
    line += f"  reason: {console.one_line(change.reason)}" if change.reason else ""
    return f"{line}  [dim]by {escape(change.by)}[/]"


def _basis(change: AliasChange) -> str:
    if change.override:
        return f"[yellow]override:[/] {console.one_line(change.override)}"
    return f"eval {change.eval_id} says {change.verdict}" if change.eval_id else "set by hand"


@dataclass(frozen=True)
class PruneItem:
    """A version, and why it stays; empty: it is removed."""

    name: str
    version: str
    size_bytes: int
    kept_because: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_prune(uses: Sequence[AdapterUse], keep: int, jobs: Mapping[tuple[str, str], str]) -> list[PruneItem]:
    """Every version with what keeps it. uses: newest first. jobs: (name, version) -> a job that has not ended."""
    seen: Counter[str] = Counter()
    planned = []
    for use in uses:
        adapter = use.adapter
        seen[adapter.name] += 1
        reasons = [str(holder) for holder in use.held_by]
        if job_id := jobs.get((adapter.name, adapter.version)):
            reasons.append(f"{job_id} goes on from it")
        if not reasons and seen[adapter.name] <= keep:
            reasons.append("it is the newest" if keep == 1 else f"it is among the {keep} newest")
        size_bytes = sum(file.size_bytes for file in adapter.files)
        planned.append(PruneItem(adapter.name, adapter.version, size_bytes, tuple(reasons)))
    return planned


def show_prune(planned: Sequence[PruneItem], removed: Sequence[PruneItem], *, is_dry_run: bool) -> None:
    out = console.out()
    for one in planned:
        if one.kept_because:
            more = f", and {len(one.kept_because) - 1} more" if len(one.kept_because) > 1 else ""
            out.print(f"kept     {one.name}@{one.version}  {escape(one.kept_because[0])}{more}", soft_wrap=True)
    free = [one for one in planned if not one.kept_because] if is_dry_run else removed
    for one in free:
        out.print(f"{'[yellow]free[/]   ' if is_dry_run else '[green]removed[/]'}  {one.name}@{one.version}")
    size = console.size(sum(one.size_bytes for one in free))
    if not free:
        return out.print("nothing to remove")
    if is_dry_run:
        out.print(f"{len(free)} of {len(planned)} versions can be removed, {size}; nothing was: --yes removes them")
    else:
        out.print(f"{len(free)} of {len(planned)} versions removed, {size}")
