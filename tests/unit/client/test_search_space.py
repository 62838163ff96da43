"""`--param` words: what they mean, what is refused, and the specs and commands that values make."""

from __future__ import annotations

from typing import get_args

import pytest
import typer

from burnish.errors import InvalidInputError
from burnish.schemas.training.methods import Method
from burnish_client.cli import app as cli
from burnish_client.sdk.trainer import to_dict
from burnish_client.tuning.search_space import command_of, has_parameter, make_spec, parse_space, parse_values


def test_ranges_lists_and_fixed_values() -> None:
    words = ["learning_rate=1e-5..1e-3:log", "rank=8,16", "max-steps=10..20", "dropout=0..0.5", "use_rslora=true,false"]
    space = parse_space([*words, "epochs=2", "quantization=none"], "sft")
    rate, rank, steps = (space.parameters[name] for name in ("learning_rate", "rank", "max_steps"))
    assert (rate.low, rate.high, rate.log, rate.whole) == (1e-5, 1e-3, True, False)
    assert rank.values == (8, 16)
    assert (steps.low, steps.high, steps.whole) == (10, 20, True)
    assert space.parameters["use_rslora"].values == (True, False)
    assert space.fixed == {"epochs": 2.0, "quantization": "none"}
    assert not space.is_listed
    listed = parse_space(["rank=8,16", "epochs=1,2,3"], "dpo")
    assert (listed.is_listed, listed.size) == (True, 6)


def test_drawn_floats_are_rounded_within_their_range() -> None:
    rate = parse_space(["learning_rate=1.2346e-5..1e-3:log"], "sft").parameters["learning_rate"]
    assert rate.rounded(0.000123456) == 0.000123
    assert rate.rounded(1.23461e-5) == 1.2346e-5
    assert parse_space(["rank=8,16"], "sft").parameters["rank"].rounded(16) == 16


@pytest.mark.parametrize(
    ("word", "method", "told"),
    [
        ("rank", "sft", "is not NAME=VALUES"),
        ("speed=1,2", "sft", "no single-valued parameter 'speed'; it has alpha, batch_size"),
        ("beta=0.1,0.2", "sft", "no single-valued parameter 'beta'"),
        ("beta=0.1,0.2", "dpo", "changes what the dpo loss measures"),
        ("initial_adapter=a", "dpo", "no single-valued parameter"),
        ("target_modules=q_proj", "sft", "no single-valued parameter"),
        ("rank=8.5,9", "sft", "'8.5' is not a whole number"),
        ("learning_rate=fast", "sft", "'fast' is not a number"),
        ("learning_rate=nan,1", "sft", "'nan' is not a number"),
        ("learning_rate=1e-3..1e-5", "sft", "0.001 is not below 1e-05"),
        ("learning_rate=0..1:log", "sft", "starts above 0"),
        ("rank=8,8", "sft", "twice"),
        ("use_dora=true..false", "sft", "a list of values, not a range"),
        ("quantization=int8", "sft", "one of none, nf4"),
        ("epochs=2", "sft", "nothing to search"),
    ],
)
def test_what_is_refused(word: str, method: Method, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        parse_space([word], method)


def test_one_value_each_where_one_is_wanted() -> None:
    assert parse_values(["beta=0.2", "rank=4"], "dpo") == {"beta": 0.2, "rank": 4}
    with pytest.raises(InvalidInputError, match="one value is wanted"):
        parse_values(["rank=4,8"], "sft")


def test_values_go_where_the_contract_has_them() -> None:
    values = {"beta": 0.2, "rank": 4, "learning_rate": 1e-4, "quantization": "nf4", "seed": 7, "use_dora": False}
    spec = make_spec("dpo", dataset="d", version="v", adapter="a", values=values)
    assert to_dict(spec) == {
        "dataset": {"name": "d", "version": "v"},
        "adapter_name": "a",
        "lora": {"rank": 4, "use_dora": False},
        "optimizer": {"learning_rate": 1e-4},
        "dpo": {"beta": 0.2},
        "quantization": "QUANTIZATION_NF4",
        "seed": "7",
    }
    assert make_spec("sft", dataset="d", version="v", adapter="a", values={}).WhichOneof("method") == "sft"


def test_the_command_says_the_values_exactly() -> None:
    command = command_of(
        "dpo", dataset="d@v", adapter="a", values={"learning_rate": 0.000123, "rank": 8, "beta": 1 / 3}
    )
    assert (
        command
        == "burnish train dpo --dataset d@v --adapter a --learning-rate 0.000123 --rank 8 --beta 0.3333333333333333"
    )


@pytest.mark.parametrize("method", get_args(Method))
def test_every_parameter_is_an_option_of_the_command(method: Method) -> None:
    command = typer.main.get_command(cli.app).commands["train"].commands[method]  # type: ignore[attr-defined]
    options = {parameter.name for parameter in command.params}
    searchable = {
        "learning_rate",
        "rank",
        "alpha",
        "dropout",
        "use_rslora",
        "use_dora",
        "epochs",
        "quantization",
        "seed",
    }
    assert all(has_parameter(name, method) for name in searchable)
    assert {name.removeprefix("use_") for name in searchable} <= options
    told = command_of(method, dataset="d", adapter="a", values={"use_rslora": True, "use_dora": False})
    assert told == f"burnish train {method} --dataset d --adapter a --rslora"
