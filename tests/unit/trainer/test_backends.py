"""Which backend is chosen and why, and that Unsloth is called by the names that its pinned version has."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from unit.trainer.record_unsloth import RECORD

from burnish.errors import PreconditionError
from burnish.schemas.training.hyperparameters import LoraSpec
from burnish_trainer.hardware.backends import choose
from burnish_trainer.worker.backends import ModelRequest, unsloth

RECORDED = json.loads(RECORD.read_bytes())
PYPROJECT = Path(__file__).parents[3] / "services" / "trainer" / "pyproject.toml"
DORA = {"rank": 16, "use_rslora": True, "use_dora": True}
REQUEST = ModelRequest(
    folder=Path("/base"),
    lora=LoraSpec.model_validate({"rank": 16}),
    quantization="nf4",
    device="cuda",
    dtype="bfloat16",
    max_length=512,
    seed=7,
)


def test_auto_is_peft_without_cuda_and_says_so() -> None:
    choice = choose("auto", "cpu")
    assert (choice.name, choice.why) == ("peft", "backend peft: there is no CUDA device")


@pytest.mark.skipif(find_spec("unsloth") is not None, reason="unsloth is installed")
def test_auto_is_peft_on_cuda_without_the_package() -> None:
    assert choose("auto", "cuda").why == "backend peft: CUDA is there, the unsloth package is not"


def test_what_cannot_be_is_refused_not_replaced() -> None:
    with pytest.raises(PreconditionError, match="needs a CUDA device"):
        choose("unsloth", "cpu")
    assert choose("peft", "cuda").name == "peft"


def test_the_recorded_signatures_are_of_the_pinned_version() -> None:
    """A moved pin turns this red until record_unsloth.py has been run, and the tests below then judge the new names."""
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert extras["unsloth"][0] == RECORDED["requirement"]


@pytest.mark.parametrize(
    ("function", "arguments", "only_by_others"),
    [
        ("from_pretrained", unsloth.base_arguments(REQUEST, Path("/base")), {"local_files_only"}),
        ("get_peft_model", unsloth.adapter_arguments(REQUEST), set()),
        (
            "get_peft_model",
            unsloth.adapter_arguments(replace(REQUEST, lora=LoraSpec.model_validate(DORA))),
            {"use_dora"},
        ),
    ],
)
def test_unsloth_is_called_by_names_that_it_has(
    function: str, arguments: dict[str, Any], only_by_others: set[str]
) -> None:
    recorded = RECORDED["functions"][f"FastLanguageModel.{function}"]
    unknown = set(arguments) - set(recorded["names"])
    assert unknown == only_by_others
    assert recorded["takes_any_keyword"] or not only_by_others


def test_unsloth_is_asked_for_what_the_job_asks() -> None:
    base = unsloth.base_arguments(REQUEST, Path("/base"))
    assert (base["load_in_4bit"], base["max_seq_length"], base["model_name"]) == (True, 512, "/base")
    adapter = unsloth.adapter_arguments(REQUEST)
    assert (adapter["r"], adapter["lora_alpha"], adapter["random_state"]) == (16, 16, 7)
    assert len(adapter["target_modules"]) == 7
    assert adapter["use_rslora"] is False
    both = unsloth.adapter_arguments(replace(REQUEST, lora=LoraSpec.model_validate(DORA)))
    assert (both["use_rslora"], both["use_dora"]) == (True, True)


def test_several_processes_are_placed_by_unsloth_itself() -> None:
    """No device_map of ours: an automatic one is replaced by the process's own GPU."""
    assert "device_map" not in unsloth.base_arguments(REQUEST, Path("/base"))
    assert "device_map" in RECORDED["functions"]["FastLanguageModel.from_pretrained"]["names"]
