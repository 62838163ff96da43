"""Command groups with a default command."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class RunsByDefault(TyperGroup):
    """`burnish eval --benchmark …` is `burnish eval run --benchmark …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if named else ["run", *args])
