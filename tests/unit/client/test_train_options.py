"""Every training parameter of the contract is an option of `burnish train`, its help has the contract's default, and it arrives."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
import typer

from burnish.errors import InvalidInputError
from burnish.schemas.tuning import Method
from burnish_client.cli import app as cli
from burnish_client.cli.options import training as train_options
from burnish_client.cli.options.training import read_deadline, read_labels, spec_options, takes
from burnish_client.sdk.trainer import PARAMS, final_series, tuning_spec
from burnish_protos.trainer.v1.trainer_pb2 import (
    CreateTuningJobRequest,
    LoraParams,
    OptimizerParams,
    StepMetrics,
    TuningJobEvent,
    TuningSpec,
)
from burnish_trainer.worker import methods

PROTO = (Path(__file__).resolve().parents[3] / "protos/burnish/trainer/v1/trainer.proto").read_text()
METHODS: tuple[Method, ...] = get_args(Method)
OPTION_OF = {
    "target_modules": "target_module",
    "use_rslora": "rslora",
    "use_dora": "dora",
    "device_count": "devices",
    "accepted_findings": "accept",
    "labels": "label",
}
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REFERENCE = {"dataset_name": "d", "dataset_version": "v", "adapter_name": "a"}


def options(method: str) -> dict[str, str]:
    """Name → help of the options of `burnish train METHOD`."""
    command = typer.main.get_command(cli.app).commands["train"].commands[method]  # type: ignore[attr-defined]
    return {parameter.name: getattr(parameter, "help", "") or "" for parameter in command.params}


def documented_defaults(message: str) -> dict[str, str]:
    """Field → the first word after `default` in its comment in the proto."""
    body = re.search(rf"^message {message} {{$(.*?)^}}$", PROTO, re.MULTILINE | re.DOTALL)
    if body is None:  # `message SftParams {}`
        return {}
    fields = re.findall(r"((?:^ *//.*\n)+) *(?:optional |repeated )?\w+ (\w+) = \d+;", body[1], re.MULTILINE)
    found = {name: re.search(r"[Dd]efault:? ([\w.-]*\w)", comment) for comment, name in fields}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.parametrize("method", METHODS)
def test_every_parameter_is_an_option(method: Method) -> None:
    messages = (LoraParams, OptimizerParams, PARAMS[method])
    names = {field.name for message in messages for field in message.DESCRIPTOR.fields}
    names |= {field.name for field in TuningSpec.DESCRIPTOR.fields if field.message_type is None} - {"adapter_name"}
    names |= {field.name for field in CreateTuningJobRequest.DESCRIPTOR.fields} - {"spec"}
    assert {OPTION_OF.get(name, name) for name in names} <= set(options(method))


@pytest.mark.parametrize("method", METHODS)
def test_help_has_the_defaults_of_the_contract(method: Method) -> None:
    helps = options(method)
    for message in (LoraParams, OptimizerParams, PARAMS[method]):
        for name, default in documented_defaults(message.DESCRIPTOR.name).items():
            if name == "learning_rate":
                continue  # the method's own
            told = re.search(r"Default: (?:the )?([\w.-]*\w)", helps[OPTION_OF.get(name, name)])
            assert told is not None, name
            assert told[1] == default, name
    rate = re.search(r"Default: ([\d.e-]+)\.", helps["learning_rate"])
    assert rate is not None
    assert float(rate[1]) == methods.named(method).LEARNING_RATE
    assert documented_defaults("LoraParams")
    assert documented_defaults("OptimizerParams")


def test_a_parameter_of_another_method_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="beta belongs to dpo, kto, orpo, simpo, not to sft"):
        tuning_spec("sft", **REFERENCE, beta=0.1)
    with pytest.raises(InvalidInputError, match="gamma belongs to simpo, not to orpo"):
        tuning_spec("orpo", **REFERENCE, gamma=0.1)
    with pytest.raises(InvalidInputError, match="'ppo' is not one of sft, dpo, kto, orpo, simpo"):
        tuning_spec("ppo", **REFERENCE)  # type: ignore[arg-type]


def test_options_become_the_spec_they_stand_for() -> None:
    given: dict[str, Any] = {
        "dataset": "d",
        "rank": 8,
        "target_module": ["q_proj", "v_proj"],
        "rslora": True,
        "dora": False,
        "devices": 2,
        "accept": ["completion-cut"],
        "desirable_weight": 1.5,
        "initial_adapter": "first@0123456789abcdef",
        "learning_rate": None,
    }
    spec = tuning_spec("kto", **REFERENCE, **spec_options(given))
    assert given == {"dataset": "d"}, "what is not of the spec is left"
    assert (spec.lora.rank, list(spec.lora.target_modules)) == (8, ["q_proj", "v_proj"])
    assert (spec.lora.use_rslora, spec.lora.HasField("use_dora")) == (True, False)
    assert (spec.device_count, list(spec.accepted_findings)) == (2, ["completion-cut"])
    assert (spec.kto.desirable_weight, spec.kto.initial_adapter.name) == (1.5, "first")
    assert not spec.optimizer.HasField("learning_rate")
    with pytest.raises(InvalidInputError, match="name the version too"):
        spec_options({"initial_adapter": "first"})


def test_takes_gives_a_command_the_options_of_its_groups() -> None:
    class Loud:
        loud: bool = False

    class Name(Loud):
        name: Annotated[str, typer.Option()]

    seen: list[dict[str, Any]] = []

    @takes(Name)
    def greet(given: dict[str, Any]) -> None:
        """Greet."""
        seen.append(given)

    app = typer.Typer()
    app.command()(greet)
    typer.main.get_command(app)(["--name", "Ada"], standalone_mode=False)
    assert seen == [{"loud": False, "name": "Ada"}]
    groups = [
        value for value in vars(train_options).values() if isinstance(value, type) and "Options" in value.__name__
    ]
    assert all(get_type_hints(group) for group in groups)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("8h", NOW + timedelta(hours=8)),
        ("90m", NOW + timedelta(minutes=90)),
        ("1d12h", NOW + timedelta(days=1, hours=12)),
        ("2026-11-24T08:00+01:00", datetime(2026, 11, 24, 7, 0, tzinfo=UTC)),
        ("2026-11-24T08:00", datetime(2026, 11, 24, 8, 0).astimezone()),
    ],
)
def test_deadlines(text: str | None, expected: datetime | None) -> None:
    assert read_deadline(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "8", "h", "soon", "2026-13-01", "2026-11-22T08:00Z", "8h soon"])
def test_a_deadline_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--deadline"):
        read_deadline(text, NOW)


def test_labels() -> None:
    assert read_labels(["team=search", "why=a=b", "none="]) == {"team": "search", "why": "a=b", "none": ""}
    for words in (["team"], ["=x"], ["a=1", "a=2"]):
        with pytest.raises(InvalidInputError, match="--label"):
            read_labels(words)


def test_the_final_series_has_the_last_telling_of_each_step() -> None:
    def told(sequence: int, step: int, attempt: int, **figures: float) -> TuningJobEvent:
        return TuningJobEvent(sequence=sequence, attempt=attempt, metrics=StepMetrics(step=step, **figures))

    events = [
        told(1, 1, 1, train_loss=3.0),
        told(2, 2, 1, train_loss=2.0),
        told(3, 2, 1, validation_loss=2.5),
        TuningJobEvent(sequence=4, message="attempt 1 failed"),
        told(5, 2, 2, train_loss=2.1),
    ]
    assert [event.sequence for event in final_series(events)] == [1, 5, 3]
