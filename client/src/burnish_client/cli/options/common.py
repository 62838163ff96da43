"""Arguments, options and a command group that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

RunLog = Annotated[
    str | None, typer.Argument(help="Id or name of a run log; without it, the newest.", show_default=False)
]
RunLogOption = Annotated[
    str | None, typer.Option("--run-log", help="Id or name of the run log; default: the newest.", show_default=False)
]
OutputFile = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write; without it, stdout.", show_default=False)
]


class RunsByDefault(TyperGroup):
    """`burnish eval --benchmark …` is `burnish eval run --benchmark …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if named else ["run", *args])
