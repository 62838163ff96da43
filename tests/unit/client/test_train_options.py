"""Every training parameter of the contract is an option of `burnish train`, and its help has the contract's default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from burnish.errors import InvalidInputError
from burnish_client import cli
from burnish_client.trainer_client import tuning_spec
from burnish_protos.trainer.v1.trainer_pb2 import DpoParams, LoraParams, OptimizerParams, TuningSpec

PROTO = (Path(__file__).resolve().parents[3] / "protos/burnish/trainer/v1/trainer.proto").read_text()
OPTION_OF = {"target_modules": "target_module"}


def options(method: str) -> dict[str, str]:
    """Name → help of the options of `burnish train METHOD`."""
    command = typer.main.get_command(cli.app).commands["train"].commands[method]  # type: ignore[attr-defined]
    return {parameter.name: getattr(parameter, "help", "") or "" for parameter in command.params}


def documented_defaults(message: str) -> dict[str, str]:
    """Field → the first word after `default` in its comment in the proto."""
    body = re.search(rf"^message {message} {{$(.*?)^}}$", PROTO, re.MULTILINE | re.DOTALL)
    assert body is not None
    fields = re.findall(r"((?:^ *//.*\n)+) *(?:optional |repeated )?\w+ (\w+) = \d+;", body[1], re.MULTILINE)
    found = {name: re.search(r"[Dd]efault:? ([\w.-]*\w)", comment) for comment, name in fields}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_every_parameter_is_an_option(method: str) -> None:
    names = {field.name for message in (LoraParams, OptimizerParams) for field in message.DESCRIPTOR.fields}
    names |= {"quantization", "backend", "seed"} | (
        {field.name for field in DpoParams.DESCRIPTOR.fields} if method == "dpo" else set()
    )
    assert {OPTION_OF.get(name, name) for name in names} <= set(options(method))
    assert {"quantization", "backend", "seed"} <= {field.name for field in TuningSpec.DESCRIPTOR.fields}


@pytest.mark.parametrize("message", ["LoraParams", "OptimizerParams", "DpoParams"])
def test_help_has_the_defaults_of_the_contract(message: str) -> None:
    defaults = documented_defaults(message)
    assert defaults
    helps = options("dpo" if message == "DpoParams" else "sft")
    for name, default in defaults.items():
        told = re.search(r"Default: (?:the )?([\w.-]*\w)", helps[OPTION_OF.get(name, name)])
        assert told is not None, name
        assert told[1] == default, name


def test_what_belongs_to_dpo_is_refused_for_sft() -> None:
    with pytest.raises(InvalidInputError, match="belong to method dpo"):
        tuning_spec("sft", dataset_name="d", dataset_version="v", adapter_name="a", beta=0.1)
