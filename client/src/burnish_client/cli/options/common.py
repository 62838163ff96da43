"""Arguments and options that several commands share, and groups of options as one parameter of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperGroup

DATASET_HELP, RUN_LOG_HELP = "Dataset; without version, the newest.", "Id or name of the run log; default: the newest."
RunLog = Annotated[str | None, typer.Argument(help=RUN_LOG_HELP)]
RunLogOption = Annotated[str | None, typer.Option("--run-log", help=RUN_LOG_HELP)]
SliceOption = Annotated[
    list[str] | None, typer.Option("--slice", help="Only runs of this slice; repeat for more. Default: all.")
]
OutputFile = Annotated[Path | None, typer.Option("--out", "-o", help="File to write; without it, stdout.")]


class RunsByDefault(TyperGroup):
    """`burnish eval --benchmark …` is `burnish eval run --benchmark …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if named else ["run", *args])


class Options:
    """A group of options: a subclass declares each as `name: type = option(…)`, an instance has what was given."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)


def option(
    default: Any,
    help: str,
    panel: str | None = None,
    metavar: str | None = None,
    *,
    names: Sequence[str] = (),
    **more: Any,
) -> Any:
    """One option of a group. A default of ... makes it required, one of None is not shown. names: if not the field's."""
    return typer.Option(default, *names, help=help, rich_help_panel=panel, metavar=metavar, **more)


def file_option(default: Any, help: str, panel: str | None = None) -> Any:
    """A file that exists."""
    return option(default, help, panel, exists=True, dir_okay=False)


def grouped(command: Callable[..., None], **made: type[Options]) -> Callable[..., None]:
    """Let a command have parameters of type Options: typer sees the options of the group, the command gets the object.

    made: the types of parameters whose groups are only known at run time. The command may be a `partial`.
    """
    hints = get_type_hints(getattr(command, "func", command), include_extras=True) | made
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Options)}
    members = {name: get_type_hints(group, include_extras=True) for name, group in groups.items()}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += [_parameter(one, getattr(groups[name], one), hint) for one, hint in members[name].items()]
        else:
            parameters.append(_parameter(name, parameter.default, hints[name]))

    @wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{one: given.pop(one) for one in members[name]})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
