"""A hyperparameter is declared once: proto, options, sweep, docs and model card have it, with the same default."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from burnish.errors import InvalidInputError
from burnish.schemas.base import VersionRef
from burnish.schemas.training.hyperparameters import (
    Hyperparameter,
    Kind,
    LoraSpec,
    OptimizerSpec,
    hyperparameters,
    value_text,
)
from burnish.schemas.training.job import JobSpec, hyperparameters_of
from burnish.schemas.training.methods import METHODS, Method, method_named
from burnish_client.cli import app as cli
from burnish_client.sdk.job_spec import tuning_spec
from burnish_client.tuning.search_space import has_parameter
from burnish_protos.trainer.v1.trainer_pb2 import TuningSpec
from burnish_trainer.rpc.messages import spec_fields, spec_message

REPO = Path(__file__).parents[3]
PROTO = (REPO / "protos/burnish/trainer/v1/trainer.proto").read_text()
WIRE: dict[Kind, set[int]] = {
    "whole number": {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64},
    "number": {FieldDescriptor.CPPTYPE_DOUBLE},
    "flag": {FieldDescriptor.CPPTYPE_BOOL},
    "choice": {FieldDescriptor.CPPTYPE_ENUM},
    "names": {FieldDescriptor.CPPTYPE_STRING},
    "adapter version": {FieldDescriptor.CPPTYPE_MESSAGE},
}


def declared(method: Method) -> Iterator[tuple[Descriptor, Hyperparameter]]:
    """Each hyperparameter, and the message of the proto that must have it."""
    fields = TuningSpec.DESCRIPTOR.fields_by_name
    for part, group in hyperparameters_of(method).items():
        name = method if part == "params" else part
        message = TuningSpec.DESCRIPTOR if part == "run" else fields[name].message_type
        yield from ((message, one) for one in group.values())


def options(method: str) -> dict[str, str]:
    """Name → help of the options of `burnish train METHOD`."""
    command = typer.main.get_command(cli.app).commands["train"].commands[method]  # type: ignore[attr-defined]
    return {parameter.name: getattr(parameter, "help", "") or "" for parameter in command.params}


def commented_default(message: str, field: str) -> str | None:
    """The first word after `default` in the field's comment in the proto."""
    body = re.search(rf"^message {message} {{$(.*?)^}}$", PROTO, re.MULTILINE | re.DOTALL)
    comment = (
        re.search(rf"((?:^ *//.*\n)+) *(?:optional |repeated )?\w+ {field} = \d+;", body[1], re.MULTILINE)
        if body
        else None
    )
    said = re.search(r"[Dd]efault:? ([\w.-]*\w)", comment[1]) if comment else None
    return said[1] if said else None


def test_every_field_of_the_parts_is_a_hyperparameter_with_its_help() -> None:
    parts = [LoraSpec, OptimizerSpec, *(method.params for method in METHODS.values())]
    assert all(set(hyperparameters(part)) == set(part.model_fields) for part in parts)
    assert all(one.help and one.default for method in METHODS for _, one in declared(method))
    assert set(METHODS) == set(get_args(Method))


@pytest.mark.parametrize("method", METHODS)
def test_names_are_of_one_hyperparameter_and_options_of_one_name(method: Method) -> None:
    found = [one for _, one in declared(method)]
    assert len({one.name for one in found}) == len(found) == len({one.option for one in found})


@pytest.mark.parametrize("method", METHODS)
def test_the_proto_has_each_with_its_type_and_default(method: Method) -> None:
    for message, one in declared(method):
        field = message.fields_by_name.get(one.name)
        assert field is not None, f"{message.name} has no {one.name}"
        assert field.cpp_type in WIRE[one.kind], one.name
        assert field.is_repeated == (one.kind == "names"), one.name
        said = commented_default(message.name, one.name)
        if said is not None and one.name != "learning_rate":  # its default is the method's
            assert said in {*one.default.removeprefix("the ").split(), "trainer"}, one.name


@pytest.mark.parametrize("method", METHODS)
def test_the_proto_has_no_other(method: Method) -> None:
    ours = {(message.name, one.name) for message, one in declared(method)}
    messages = {message for message, _ in declared(method)} | {
        TuningSpec.DESCRIPTOR.fields_by_name[method].message_type
    }
    theirs = {(message.name, field.name) for message in messages for field in message.fields}
    others = {"dataset", "adapter_name", "lora", "optimizer", "accepted_findings", "base_model", "hosted", *METHODS}
    assert theirs - ours == {("TuningSpec", name) for name in others}


@pytest.mark.parametrize("method", METHODS)
def test_the_command_has_an_option_for_each_that_says_its_default(method: Method) -> None:
    found = options(method)
    for _, one in declared(method):
        assert one.option in found, one.name
        assert one.help in found[one.option]
        assert one.kind == "flag" or f"Default: {one.default}." in found[one.option], one.name
        assert one.bounds in found[one.option]


@pytest.mark.parametrize("method", METHODS)
def test_a_sweep_has_each_single_value_that_decides_the_result(method: Method) -> None:
    for _, one in declared(method):
        assert has_parameter(one.name, method) == (one.is_single and one.decides_result)


def test_the_docs_have_the_table_that_the_declarations_make() -> None:
    sys.path.insert(0, str(REPO / "scripts"))
    try:
        import hyperparameter_table
    finally:
        sys.path.pop(0)
    page = (REPO / "docs/training.md").read_text()
    assert page == hyperparameter_table.page_with_table(page), "run scripts/hyperparameter_table.py"
    for method in METHODS:
        for _, one in declared(method):
            assert f"`--{one.option.replace('_', '-')}`" in page


def whole(method: Method) -> JobSpec:
    """A spec in which no hyperparameter has its default."""
    params = {
        name: {"name": "first", "version": "0" * 16} if one.kind == "adapter version" else 0.25
        for name, one in hyperparameters_of(method)["params"].items()
    }
    return JobSpec(
        dataset=VersionRef(name="d", version="1" * 16),
        adapter_name="a",
        method=method,
        params=METHODS[method].params.model_validate(params).model_dump(mode="json"),
        lora=LoraSpec(rank=4, alpha=8, dropout=0.25, target_modules=("v_proj",), use_rslora=True, use_dora=True),
        optimizer=OptimizerSpec(
            learning_rate=0.25,
            max_steps=5,
            epochs=2.0,
            batch_size=4,
            gradient_accumulation_steps=3,
            warmup_share=0.5,
            max_length=99,
            evaluation_interval_steps=7,
            early_stopping_patience=1,
        ),
        quantization="nf4",
        backend="peft",
        seed=9,
        device_count=2,
        accepted_findings=("few-rows",),
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_spec_goes_over_the_wire_and_comes_back(method: Method) -> None:
    spec = whole(method)
    assert JobSpec.model_validate(spec_fields(spec_message(spec))) == spec


@pytest.mark.parametrize("method", METHODS)
def test_the_client_sends_what_the_trainer_reads(method: Method) -> None:
    spec = whole(method)
    values = spec.model_dump() | spec.lora.model_dump() | spec.optimizer.model_dump() | spec.params
    sent = {name: values[name] for group in hyperparameters_of(method).values() for name in group}
    if "initial_adapter" in sent:
        sent["initial_adapter"] = ("first", "0" * 16)
    message = tuning_spec(
        method,
        dataset_name="d",
        dataset_version="1" * 16,
        adapter_name="a",
        accepted_findings=["few-rows"],
        **sent,
    )
    assert message == spec_message(spec)


def test_what_is_left_out_stays_unset() -> None:
    message = tuning_spec("kto", dataset_name="d", dataset_version="v", adapter_name="a", backend="auto", rank=None)
    assert spec_fields(message) == {
        "method": "kto",
        "params": {},
        "dataset": {"name": "d", "version": "v"},
        "adapter_name": "a",
        "lora": {},
        "optimizer": {},
    }


def test_a_method_is_named_in_its_declaration_and_its_own_file_alone() -> None:
    """What a new method needs: these two files, and its message in the proto."""
    listing = re.compile(r"""["'](orpo|simpo)["']""")
    naming = {
        str(path.relative_to(REPO))
        for room in ("core/src", "client/src", "services/trainer/src")
        for path in (REPO / room).rglob("*.py")
        if listing.search(path.read_text())
    }
    own = {f"services/trainer/src/burnish_trainer/worker/methods/{method}.py" for method in METHODS}
    assert naming - own == {"core/src/burnish/schemas/training/methods.py"}
    assert all((REPO / file).is_file() for file in own)


def test_an_unknown_method_is_refused_by_name() -> None:
    assert method_named("dpo") == "dpo"
    with pytest.raises(InvalidInputError, match="'ppo' is not one of sft, dpo, kto, orpo, simpo"):
        method_named("ppo")


@pytest.mark.parametrize(
    ("value", "text"), [(5e-5, "5e-5"), (1 / 3, "0.3333333333333333"), (2.0, "2"), (False, "false"), ("nf4", "nf4")]
)
def test_values_as_a_person_writes_them(value: object, text: str) -> None:
    assert value_text(value) == text
    assert text in ("nf4", "false") or json.loads(text) == value
