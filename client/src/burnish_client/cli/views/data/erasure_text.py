"""An erasure on a screen: what went, or would go, and the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.erasure import ErasedDataset, ErasedLines, Erasure


def show(found: Erasure) -> None:
    out = console.out()
    if found.state == "nothing" or (found.state == "preview" and not (found.run_logs or found.traces)):
        return out.print("nothing of this is stored: there is nothing to erase")
    titles = {"preview": "[bold yellow]would erase[/]", "done": f"[bold green]erased[/] {found.id}"}
    out.print(titles.get(found.state, f"[bold yellow]not ended[/] {found.id}: the curator goes on with it"))
    out.print(console.facts(_pairs(found)))
    for adapter in found.adapters:
        console.note(
            f"[yellow]trained on it:[/] adapter {escape(adapter)}; train again on the new dataset version, then "
            f"`burnish adapters rm {escape(adapter)}`"
        )
    if found.state == "preview":
        console.note(
            "[dim]nothing was changed; the same command with[/] --yes [dim]erases it, and there is no undoing[/]"
        )
    for key in found.scan.found if found.scan else ():
        console.note(f"[red]still there:[/] {escape(key)} has a text of it{_advice(key)}")


def _pairs(found: Erasure) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [("run log", _lines(one)) for one in found.run_logs]
    pairs += [("traces", f"{found.traces:,} waiting objects")] if found.traces else []
    pairs += [("reviews", f"of {found.reviews:,} questions")] if found.reviews else []
    pairs += [("suggestions", f"{found.suggestions:,} of teachers")] if found.suggestions else []
    pairs += [("dataset", _dataset(one, found.state == "preview")) for one in found.datasets]
    pairs += [("answers", f"in {folder.rstrip('/')}") for folder in found.evals]
    if found.scan is not None:
        searched = f"{found.scan.objects:,} objects ({console.size(found.scan.size_bytes)}) searched for {found.scan.texts:,} pieces of text"
        more = f"; {found.scan.shared:,} more stand in lines of others too" if found.scan.shared else ""
        where = "found nowhere" if not found.scan.found else f"found in {len(found.scan.found):,}"
        pairs.append(("proof", f"{searched}: {where}{more}; {found.scan.not_read:,} weights and checkpoints not read"))
    return pairs


def _lines(one: ErasedLines) -> str:
    rejected = f", {len(one.rejected):,} rejected" if one.rejected else ""
    return f"{one.run_log_id}: {len(one.lines):,} lines{rejected}"


def _dataset(one: ErasedDataset, is_preview: bool) -> str:
    left = f"; {one.name}@{one.replaced_by} in its place" if one.replaced_by else "; nothing is left of it"
    return f"{one.name}@{one.version}: {one.rows:,} rows{'' if is_preview else left}"


def _advice(key: str) -> str:
    kind, _, rest = key.partition("/")
    if kind == "benchmarks":
        return f", which somebody brought: `burnish benchmark rm {'@'.join(rest.split('/')[:2])}`"
    return ": the same command again erases what came meanwhile"
