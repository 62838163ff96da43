"""The options of `burnish train`, declared once: groups of annotated attributes that `takes` turns into a command's signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_type_hints

import typer

from burnish_client.cli.views.console import JsonFlag

LORA, OPTIMIZER, HARDWARE, QUEUE = "LoRA", "Optimizer", "Hardware and repeatability", "Queue"
DURATION = re.compile(r"^(?=.)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?\Z")

Run = Callable[[dict[str, Any]], None]


def _option(help: str, panel: str | None = None, metavar: str | None = "N") -> Any:
    return typer.Option(help=help, rich_help_panel=panel, metavar=metavar, show_default=False)


class DatasetOptions:
    """What is trained on, and what it becomes."""

    dataset: Annotated[str, typer.Option(metavar="NAME[@VERSION]", help="Dataset; without version, the newest.")]
    adapter: Annotated[
        str | None, _option("Name of the adapter to make a version of. Default: the dataset's.", metavar="NAME")
    ] = None


class LoraOptions:
    """LoraParams of the contract."""

    rank: Annotated[int | None, _option("1 to 512. Default: 32.", LORA)] = None
    alpha: Annotated[int | None, _option("Default: the rank.", LORA)] = None
    dropout: Annotated[float | None, _option("In [0,1). Default: 0.", LORA, "SHARE")] = None
    target_module: Annotated[
        list[str] | None, _option("Module to adapt; repeat for more. Default: all seven projections.", LORA, "NAME")
    ] = None
    rslora: Annotated[
        bool,
        typer.Option("--rslora", help="Scale by alpha / sqrt(rank) instead of alpha / rank.", rich_help_panel=LORA),
    ] = False
    dora: Annotated[
        bool,
        typer.Option(
            "--dora",
            help="Weight-decomposed LoRA. Not served: wants --accept adapter-not-servable.",
            rich_help_panel=LORA,
        ),
    ] = False


class OptimizerOptions:
    """OptimizerParams of the contract, but the learning rate, whose default is the method's."""

    max_steps: Annotated[int | None, _option("Optimizer steps at most. Default: from --epochs.", OPTIMIZER)] = None
    epochs: Annotated[float | None, _option("Passes over the training rows. Default: 3.", OPTIMIZER)] = None
    batch_size: Annotated[int | None, _option("Rows a device step. Default: 8.", OPTIMIZER)] = None
    gradient_accumulation_steps: Annotated[
        int | None, _option("Device steps an optimizer step. Default: 1.", OPTIMIZER)
    ] = None
    warmup_share: Annotated[
        float | None, _option("Share of the steps, in [0,1). Default: 0.1.", OPTIMIZER, "SHARE")
    ] = None
    max_length: Annotated[
        int | None, _option("Tokens; longer rows are refused before training. Default: 2048.", OPTIMIZER)
    ] = None
    evaluation_interval_steps: Annotated[
        int | None, _option("Steps between evaluations and checkpoints. Default: a fifth of the steps.", OPTIMIZER)
    ] = None
    early_stopping_patience: Annotated[
        int | None, _option("Evaluations without improvement before stopping; 0: never. Default: 3.", OPTIMIZER)
    ] = None


class HardwareOptions:
    quantization: Annotated[
        Literal["none", "nf4"] | None,
        _option("Of the base while training; nf4 is QLoRA. Default: none.", HARDWARE, "none|nf4"),
    ] = None
    backend: Annotated[
        Literal["peft", "unsloth"] | None,
        _option("Default: unsloth where CUDA and the package are there, else peft.", HARDWARE, "peft|unsloth"),
    ] = None
    devices: Annotated[int | None, _option("GPUs of one host; the batch size is per GPU. Default: 1.", HARDWARE)] = None
    seed: Annotated[int | None, _option("Of everything random in training. Default: the trainer's.", HARDWARE)] = None


class QueueOptions:
    """How the job stands in the queue."""

    priority: Annotated[
        int, typer.Option(help="Higher goes first, then older.", rich_help_panel=QUEUE, min=-100, max=100, metavar="N")
    ] = 0
    label: Annotated[
        list[str] | None, _option("A word of yours to find the job by; repeat for more.", QUEUE, "NAME=VALUE")
    ] = None
    deadline: Annotated[
        str | None,
        _option("Fails where not done by then: 8h, 1d12h, or 2026-11-24T08:00 (local).", QUEUE, "WHEN"),
    ] = None
    request_id: Annotated[str | None, _option("Sent twice, it queues one job. Default: a fresh one.", QUEUE, "ID")] = (
        None
    )


class SubmitOptions(DatasetOptions):
    """What every method's command does with the job."""

    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check and estimate only; nothing is queued. Exit code 1 where it is refused."),
    ] = False
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show progress until the job has ended. Ctrl-C leaves it running.")
    ] = False
    accept: Annotated[
        list[str] | None,
        _option("Answer for a refusal of preflight; repeat for more. docs/preflight.md lists them.", metavar="CODE"),
    ] = None


class SftOptions:
    learning_rate: Annotated[float | None, _option("Default: 1e-4.", OPTIMIZER, "RATE")] = None


class ContinuingOptions:
    """Of the methods that can go on from an SFT adapter."""

    initial_adapter: Annotated[
        str | None,
        _option(
            "SFT adapter to go on from; it is then the reference too. Default: the base model.", metavar="NAME@VERSION"
        ),
    ] = None


class DpoOptions(ContinuingOptions):
    beta: Annotated[float | None, _option("Strength of the pull to the reference. Default: 0.1.", metavar="X")] = None
    learning_rate: Annotated[float | None, _option("Default: 5e-5.", OPTIMIZER, "RATE")] = None


class KtoOptions(ContinuingOptions):
    beta: Annotated[float | None, _option("Strength of the pull to the reference. Default: 0.1.", metavar="X")] = None
    desirable_weight: Annotated[
        float | None, _option("Weight of the desirable rows' loss. Default: 1.", metavar="X")
    ] = None
    undesirable_weight: Annotated[
        float | None, _option("Weight of the undesirable rows' loss. Default: 1.", metavar="X")
    ] = None
    learning_rate: Annotated[float | None, _option("Default: 5e-5.", OPTIMIZER, "RATE")] = None


class OrpoOptions:
    beta: Annotated[float | None, _option("Weight of the odds-ratio term. Default: 0.1.", metavar="X")] = None
    learning_rate: Annotated[float | None, _option("Default: 1e-4.", OPTIMIZER, "RATE")] = None


class SimpoOptions:
    beta: Annotated[float | None, _option("Scale of the rewards. Default: 2.", metavar="X")] = None
    gamma: Annotated[float | None, _option("Reward margin to reach. Default: 1.", metavar="X")] = None
    learning_rate: Annotated[float | None, _option("Default: 2e-5.", OPTIMIZER, "RATE")] = None


class JsonOptions:
    json: JsonFlag = False


def takes(*groups: type) -> Callable[[Run], Callable[..., None]]:
    """Make a function of one dict a command: its options are the attributes of the groups in their order, bases first.

    The dict has every option by its attribute's name. Two groups may not declare one name.
    """
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(group, name, inspect.Parameter.empty),
            annotation=annotation,
        )
        for group in groups
        for name, annotation in get_type_hints(group, include_extras=True).items()
    ]

    def decorate(run: Run) -> Callable[..., None]:
        def command(**options: Any) -> None:
            run(options)

        command.__name__, command.__doc__ = run.__name__, run.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def spec_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the groups above as arguments of trainer_client.tuning_spec, but dataset and adapter.

    Takes those that it names out of the dict, so that what is left there belongs to the command alone.
    """
    given = {name: options.pop(name) for name in SPEC_OPTIONS & options.keys()}
    given["target_modules"] = given.pop("target_module", None) or ()
    given["use_rslora"] = given.pop("rslora", False) or None
    given["use_dora"] = given.pop("dora", False) or None
    given["device_count"] = given.pop("devices", None)
    given["accepted_findings"] = given.pop("accept", None) or ()
    if given.get("initial_adapter"):
        given["initial_adapter"] = whole_reference(given["initial_adapter"])
    return given


def queue_options(options: dict[str, Any]) -> dict[str, Any]:
    """The queue's options as arguments of TrainerClient.create_job; takes them out of the dict."""
    return {
        "priority": options.pop("priority"),
        "labels": read_labels(options.pop("label") or ()),
        "deadline": read_deadline(options.pop("deadline"), datetime.now(UTC)),
        "request_id": options.pop("request_id"),
    }


def _names(*groups: type) -> frozenset[str]:
    return frozenset(name for group in groups for name in get_type_hints(group))


SPEC_OPTIONS = _names(
    LoraOptions,
    OptimizerOptions,
    HardwareOptions,
    SftOptions,
    DpoOptions,
    KtoOptions,
    OrpoOptions,
    SimpoOptions,
) | {"accept"}


def whole_reference(reference: str) -> tuple[str, str]:
    """Name and version of `name@version`; InvalidInputError where the version is missing."""
    from burnish.errors import InvalidInputError
    from burnish_client.cli.views import console

    name, version = console.name_and_version(reference)
    if version is None:
        raise InvalidInputError(
            f"--initial-adapter {reference!r}: name the version too, NAME@VERSION; `burnish adapters ls` lists them"
        )
    return name, version


def read_labels(words: Iterable[str]) -> dict[str, str]:
    """`team=search` each; InvalidInputError for a word without `=` and for a name given twice."""
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
    """`8h`, `90m`, `1d12h` from now, or a date and time, local where it names no zone. InvalidInputError for anything else."""
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
