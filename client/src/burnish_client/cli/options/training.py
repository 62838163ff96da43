"""The options of `burnish train`: those of the hyperparameters, from their declarations, and those of every job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from burnish.errors import InvalidInputError
from burnish_client.cli.options.common import DATASET_HELP, Options, option
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.training.hosted import HostedSpec
    from burnish.schemas.training.hyperparameters import Hyperparameter
    from burnish.schemas.training.methods import Method

QUEUE = "Queue"
PANELS = {"params": None, "lora": "LoRA", "optimizer": "Optimizer", "run": "Hardware and repeatability"}
DURATION = re.compile(r"^(?=.)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?\Z")


class JobOptions(Options):
    """What is trained on, what it becomes, and what every method's command does with the job."""

    dataset: str = option(..., DATASET_HELP, metavar="NAME[@VERSION]")
    adapter: str | None = option(
        None, "Name of the adapter to make a version of. Default: the dataset's.", metavar="NAME"
    )
    base_model: str | None = option(
        None, "Base model that the stack must run on. Default: whichever it runs on.", metavar="NAME"
    )
    on: str = option(
        "local", "Where it is trained: local, or a provider. See docs/hosted.md.", metavar="PROVIDER:MODEL"
    )
    spend_limit: float | None = option(
        None, "Needed with a provider: refuse the job if its price is estimated to be above this.", metavar="USD", min=0
    )
    dry_run: bool = option(
        False, "Only check and estimate; queue nothing. Exit code 1 if it is refused.", names=["--dry-run"]
    )
    follow: bool = option(
        False, "Show progress until the job has ended. Ctrl-C leaves it running.", names=["--follow", "-f"]
    )
    accept: list[str] | None = option(
        None, "Run in spite of this finding of preflight; repeat for more. See docs/preflight.md.", metavar="CODE"
    )
    json: JsonFlag = False


class QueueOptions(Options):
    """Where the job is in the queue, and how it is found there."""

    priority: int = option(0, "Higher goes first, then older.", QUEUE, "N", min=-100, max=100)
    label: list[str] | None = option(None, "Your own label to find the job by; repeat for more.", QUEUE, "NAME=VALUE")
    deadline: str | None = option(
        None, "Fail if not done by then: 8h, 1d12h, or 2026-11-24T08:00 (local).", QUEUE, "WHEN"
    )
    request_id: str | None = option(None, "The same id twice queues one job. Default: a new one.", QUEUE, "ID")


def hyperparameter_options(method: Method) -> type[Options]:
    """A group with an option for each hyperparameter that the method has."""
    from burnish.schemas.training.job import hyperparameters_of

    class HyperparameterOptions(Options):
        """Of one method, from its declarations."""

    for part, group in hyperparameters_of(method).items():
        for one in group.values():
            HyperparameterOptions.__annotations__[one.option], declared = _option_of(one, PANELS[part])
            setattr(HyperparameterOptions, one.option, declared)
    return HyperparameterOptions


def _option_of(declared: Hyperparameter, panel: str | None) -> tuple[Any, Any]:
    """Its type and the option."""
    range = f"{declared.bounds} {declared.unit}".strip() if declared.bounds else ""
    help = f"{declared.help} ({range})" if range else declared.help
    if declared.kind == "flag":
        return bool, option(False, f"{help}.", panel, names=["--" + declared.option.replace("_", "-")])
    repeat = "; repeat for more" if declared.kind == "names" else ""
    kind, metavar = {
        "whole number": (int, "N"),
        "number": (float, "X"),
        "names": (list[str], "NAME"),
        "adapter version": (str, "NAME@VERSION"),
        "choice": (Literal[declared.choices or ("",)], "|".join(declared.choices)),
    }[declared.kind]
    text = f"{help}{repeat}. Default: {declared.default}."
    return kind | None, option(None, text, panel, metavar)  # type: ignore[operator]


def spec_values(method: Method, given: object) -> dict[str, Any]:
    """The hyperparameters by name, as `tuning_spec` takes them. given: has the options of `hyperparameter_options`."""
    from burnish.schemas.training.job import hyperparameters_of

    values: dict[str, Any] = {}
    for group in hyperparameters_of(method).values():
        for name, declared in group.items():
            value = getattr(given, declared.option)
            if value is not None and declared.kind == "adapter version":
                value = console.version_of(value)
            values[name] = value or None if declared.kind in ("flag", "names") else value
    return values


def read_hosted(on: str, spend_limit: float | None) -> HostedSpec | None:
    """Read `openai:MODEL` with its limit; None for `local`. Raises InvalidInputError for what is no place, and without a limit."""
    from burnish.schemas.training.hosted import HostedSpec, read_place

    place = read_place(on)
    if (place is None) != (spend_limit is None):
        wrong = (
            "needs --spend-limit USD: a provider charges for it" if place else "costs nothing: leave --spend-limit out"
        )
        raise InvalidInputError(f"--on {on} {wrong}", field="hosted.spend_limit_usd")
    if place is None or spend_limit is None:
        return None
    try:
        return HostedSpec(provider=place[0], model=place[1], spend_limit_usd=spend_limit)
    except ValueError as error:
        raise InvalidInputError(f"--on {on!r}: a model's name has no blanks and up to 200 characters") from error


def read_labels(words: Iterable[str] | None) -> dict[str, str]:
    """Read `team=search` words. Raises InvalidInputError for a word without `=` and for a name with two values."""
    labels: dict[str, str] = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--label {word!r}: write NAME=VALUE, as in --label team=search")
        if labels.setdefault(name, value) != value:
            raise InvalidInputError(f"--label {name}: given as {labels[name]!r} and as {value!r}, choose one")
    return labels


def read_deadline(text: str | None, now: datetime | None = None) -> datetime | None:
    """Read `8h`, `90m`, `1d12h` from now, or a date and time, local if it has no zone. Raises InvalidInputError for anything else."""
    if text is None:
        return None
    now = now or datetime.now(UTC)
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
