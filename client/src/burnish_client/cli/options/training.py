"""The options of `burnish train`: those of the hyperparameters, from their declarations, and groups of annotated attributes.

`takes` turns both into a command's signature.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.hyperparameters import Hyperparameter
    from burnish.schemas.methods import Method

QUEUE = "Queue"
PANELS = {"params": None, "lora": "LoRA", "optimizer": "Optimizer", "run": "Hardware and repeatability"}
DURATION = re.compile(r"^(?=.)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?\Z")

Run = Callable[[dict[str, Any]], None]


def _option(help: str, panel: str | None = None, metavar: str | None = "N") -> Any:
    return typer.Option(help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


class QueueOptions:
    """Where the job is in the queue, and how it is found there."""

    priority: Annotated[
        int, typer.Option(help="Higher goes first, then older.", rich_help_panel=QUEUE, min=-100, max=100, metavar="N")
    ] = 0
    label: Annotated[
        list[str] | None, _option("Your own label to find the job by; repeat for more.", QUEUE, "NAME=VALUE")
    ] = None
    deadline: Annotated[
        str | None,
        _option("Fail if not done by then: 8h, 1d12h, or 2026-11-24T08:00 (local).", QUEUE, "WHEN"),
    ] = None
    request_id: Annotated[str | None, _option("The same id twice queues one job. Default: a new one.", QUEUE, "ID")] = (
        None
    )


class JobOptions:
    """What is trained on, what it becomes, and what every method's command does with the job."""

    dataset: Annotated[str, typer.Option(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")]
    adapter: Annotated[
        str | None, _option("Name of the adapter to make a version of. Default: the dataset's.", metavar="NAME")
    ] = None

    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only check and estimate; queue nothing. Exit code 1 if it is refused."),
    ] = False
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show progress until the job has ended. Ctrl-C leaves it running.")
    ] = False
    accept: Annotated[
        list[str] | None,
        _option("Run in spite of this finding of preflight; repeat for more. See docs/preflight.md.", metavar="CODE"),
    ] = None
    json: JsonFlag = False


def takes(*groups: type | Sequence[inspect.Parameter]) -> Callable[[Run], Callable[..., None]]:
    """Make a function of one dict a command. Its options are the attributes of the groups, in their order.

    The dict has every option by its attribute's name. A name may be declared only once.
    """
    parameters = [
        parameter for group in groups for parameter in (_declared(group) if isinstance(group, type) else group)
    ]

    def decorate(run: Run) -> Callable[..., None]:
        def command(**options: Any) -> None:
            run(options)

        command.__name__, command.__doc__ = run.__name__, run.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def _declared(group: type) -> Iterable[inspect.Parameter]:
    for name, annotation in get_type_hints(group, include_extras=True).items():
        yield _parameter(name, annotation, getattr(group, name, inspect.Parameter.empty))


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def hyperparameter_options(method: Method) -> list[inspect.Parameter]:
    """An option for each hyperparameter that the method has."""
    from burnish.schemas.job import hyperparameters_of

    return [
        _option_of(one, PANELS[part]) for part, group in hyperparameters_of(method).items() for one in group.values()
    ]


def _option_of(declared: Hyperparameter, panel: str | None) -> inspect.Parameter:
    range = f"{declared.bounds} {declared.unit}".strip() if declared.bounds else ""
    help = f"{declared.help} ({range})" if range else declared.help
    if declared.kind == "flag":
        option = typer.Option(f"--{declared.option}", help=f"{help}.", rich_help_panel=panel)
        return _parameter(declared.option, Annotated[bool, option], False)
    repeat = "; repeat for more" if declared.kind == "names" else ""
    kind, metavar = {
        "whole number": (int, "N"),
        "number": (float, "X"),
        "names": (list[str], "NAME"),
        "adapter version": (str, "NAME@VERSION"),
        "choice": (Literal[declared.choices or ("",)], "|".join(declared.choices)),
    }[declared.kind]
    option = _option(f"{help}{repeat}. Default: {declared.default}.", panel, metavar)
    return _parameter(declared.option, Annotated[kind | None, option], None)  # type: ignore[operator]


def spec_options(method: Method, options: dict[str, Any]) -> dict[str, Any]:
    """The options of the hyperparameters, and --accept, as arguments of `tuning_spec`.

    Takes them out of the dict, so that only the command's own options are left there.
    """
    from burnish.schemas.job import hyperparameters_of

    given: dict[str, Any] = {"accepted_findings": options.pop("accept", None) or ()}
    for group in hyperparameters_of(method).values():
        for name, declared in group.items():
            value = options.pop(declared.option, None)
            if value is not None and declared.kind == "adapter version":
                value = whole_reference(value)
            given[name] = value or None if declared.kind in ("flag", "names") else value
    return given


def queue_options(options: dict[str, Any]) -> dict[str, Any]:
    """The queue's options as arguments of TrainerClient.create_job; takes them out of the dict."""
    return {
        "priority": options.pop("priority"),
        "labels": read_labels(options.pop("label") or ()),
        "deadline": read_deadline(options.pop("deadline"), datetime.now(UTC)),
        "request_id": options.pop("request_id"),
    }


def whole_reference(reference: str) -> tuple[str, str]:
    """Name and version of `name@version`. Raises InvalidInputError if the version is missing."""
    from burnish.errors import InvalidInputError
    from burnish_client.cli.views import console

    name, version = console.name_and_version(reference)
    if version is None:
        raise InvalidInputError(
            f"--initial-adapter {reference!r}: name the version too, NAME@VERSION; `burnish adapters ls` lists them"
        )
    return name, version


def read_labels(words: Iterable[str]) -> dict[str, str]:
    """Read `team=search` words. Raises InvalidInputError for a word without `=` and for a name with two values."""
    from burnish.errors import InvalidInputError

    labels: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--label {word!r}: write NAME=VALUE, as in --label team=search")
        if labels.setdefault(name, value) != value:
            raise InvalidInputError(f"--label {name}: given as {labels[name]!r} and as {value!r}, choose one")
    return labels


def read_deadline(text: str | None, now: datetime) -> datetime | None:
    """Read `8h`, `90m`, `1d12h` from now, or a date and time, local if it has no zone. Raises InvalidInputError for anything else."""
    from burnish.errors import InvalidInputError

    if text is None:
        return None
    if match := DURATION.match(text):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        deadline = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"--deadline {text!r}: write a duration (8h, 90m, 1d12h) or a time (2026-11-24T08:00)"
        ) from None
    if deadline <= now:
        raise InvalidInputError(f"--deadline {text!r} has passed")
    return deadline
