"""What a model folder's files say: quantised weights are refused with the base to take, a second copy of the weights is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from burnish.errors import CorruptDataError, NotFoundError, PreconditionError
from burnish.model_files import licence_of, original_of, weight_files
from burnish.model_record import record

BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def model(folder: Path, config: dict[str, Any] | None = None, readme: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or {}))
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).write_text(name)
    if readme:
        (folder / "README.md").write_text(readme)
    return folder


@pytest.mark.parametrize(
    ("name", "config", "readme", "take"),
    [
        ("a", {"quantization_config": BNB, "_name_or_path": "unsloth/Qwen2.5-7B-Instruct-bnb-4bit"}, "", "unsloth/Qwen2.5-7B-Instruct"),
        ("b", {"quantization_config": BNB}, "---\nbase_model: Qwen/Qwen2.5-7B-Instruct\n---\n# x", "Qwen/Qwen2.5-7B-Instruct"),
        ("c", {"quantization_config": {"quant_method": "awq"}}, "---\nbase_model:\n- meta-llama/Llama-3.1-8B-Instruct\n---\n", "meta-llama/Llama-3.1-8B-Instruct"),
        ("Qwen2.5-7B-Instruct-GPTQ-Int4", {"quantization_config": {"quant_method": "gptq"}}, "", "Qwen2.5-7B-Instruct"),
        ("Llama-3.2-1B-unsloth-bnb-4bit", {"quantization_config": {"load_in_4bit": True}}, "", "Llama-3.2-1B"),
        ("d", {"quantization_config": {"quant_method": "fp8"}, "_name_or_path": "RedHatAI/Phi-4-FP8-dynamic"}, "", "RedHatAI/Phi-4"),
        ("mine", {"quantization_config": {"quant_method": "awq"}}, "", "the model that it was made from"),
    ],
)  # fmt: skip
def test_quantised_weights_are_refused_with_the_base_to_take(
    tmp_path: Path, name: str, config: dict[str, Any], readme: str, take: str
) -> None:
    folder = model(tmp_path / name, config, readme)
    with pytest.raises(PreconditionError, match=f"quantised already .*: take {take}\\."):
        record(folder, "q", source="here", licence="MIT")
    assert not (folder / "burnish-model.json").exists()


def test_a_plain_model_is_no_quantised_one(tmp_path: Path) -> None:
    record(model(tmp_path / "Llama-3-4bit-in-name-only"), "mine", source="here", licence="MIT")


def test_an_original_is_never_the_folder_itself(tmp_path: Path) -> None:
    assert original_of(model(tmp_path / "mine", {"_name_or_path": "/home/me/mine-awq"})) is None


def test_consolidated_weights_are_a_second_copy(tmp_path: Path) -> None:
    folder = model(tmp_path / "mistral")
    (folder / "consolidated.safetensors").write_text("the same again")
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CorruptDataError, match=r"lacks model-00002-of-00002\.safetensors"):
        weight_files(folder)
    (folder / "model-00002-of-00002.safetensors").touch()
    assert [path.name for path in weight_files(folder)] == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]


def test_no_weights_at_all(tmp_path: Path) -> None:
    folder = model(tmp_path / "empty")
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match="safetensors"):
        record(folder, "mine", source="here", licence="MIT")


@pytest.mark.parametrize(
    ("readme", "licence_file", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "", "qwen-research"),
        ("no front matter", "\n  LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nmore", "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT"),
        ("", "", None),
    ],
)
def test_the_licence_is_as_the_card_states_it(
    tmp_path: Path, readme: str, licence_file: str, licence: str | None
) -> None:
    folder = model(tmp_path / "m", readme=readme)
    if licence_file:
        (folder / "LICENSE").write_text(licence_file)
    assert licence_of(folder) == licence
