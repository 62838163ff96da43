"""A lineage as a tree on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish_client.sdk.lineage import Lineage, Node

MANY = ("question", "line")
WORDS = {"runlog": "run log", "base_model": "base model"}


def show(found: Lineage, limit: int) -> None:
    """The thing, what it was made from and what saw it; of many questions or lines side by side the first `limit`."""
    out = console.out()
    out.print(_label(found.thing))
    _print_branch("", found.thing.children, limit)
    _print_branch("made from", found.made_from, limit)
    _print_branch("seen by", found.seen_by, limit)
    if not (found.made_from or found.seen_by):
        out.print("[dim]nothing was made from it, and nothing rests on it[/]")
    for problem in found.unknown:
        console.note(f"[yellow]not known:[/] {escape(console.one_line(problem))}")


def _print_branch(title: str, nodes: Sequence[Node], limit: int) -> None:
    if not nodes:
        return
    tree = Tree(Text(title, style="bold"), hide_root=not title)
    _add(tree, nodes, limit)
    console.out().print(tree)


def _add(tree: Tree, nodes: Sequence[Node], limit: int) -> None:
    """Of questions and lines the first `limit`; of all else everything, since each is a step of the way."""
    left_out = max(0, sum(node.kind in MANY for node in nodes) - limit)
    for node in nodes[: len(nodes) - left_out]:
        _add(tree.add(_label(node)), node.children, limit)
    if left_out:
        tree.add(Text(f"… and {left_out:,} more (--limit)", style="dim"))


def _label(node: Node) -> Text:
    """On one line, cut at the width of the screen."""
    label = Text(no_wrap=True, overflow="ellipsis")
    if node.kind != "questions":
        label.append(f"{WORDS.get(node.kind, node.kind)} ", style="dim")
    label.append(console.one_line(node.name), style="bold")
    if node.says:
        label.append(f"  {console.one_line(node.says)}")
    return label
