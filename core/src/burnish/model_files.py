"""What the files of a Hugging Face model folder say without a model library: weights, quantisation, licence, stated origin.

Called by whoever records, checks or opens a base model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from burnish.errors import CorruptDataError, NotFoundError, PreconditionError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
QUANTISED_NAME = re.compile(
    r"[-_](unsloth-)?(bnb|4-?bit|8-?bit|int[48]|nf4|fp8|fp4|nvfp4|mxfp4|awq|gptq|w\d+a\d+|quantized|dynamic)(?=$|[-_.])",
    re.IGNORECASE,
)
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json. NotFoundError if there is none, CorruptDataError if it is no JSON object."""
    path = folder / "config.json"
    try:
        config = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is missing: give the folder of a Hugging Face model") from error
    except orjson.JSONDecodeError as error:
        raise CorruptDataError(f"{path} is not JSON ({error}): copy or download it again") from error
    if not isinstance(config, dict):
        raise CorruptDataError(f"{path} is no JSON object: copy or download it again")
    return config


def weight_files(folder: Path) -> list[Path]:
    """The weights as transformers and vLLM read them. Mistral's folders hold a second copy, consolidated.safetensors.

    Empty if there are none. CorruptDataError if the index names a file that is missing.
    """
    index = folder / INDEX
    if index.is_file():
        names = sorted(set(orjson.loads(index.read_bytes())["weight_map"].values()))
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise CorruptDataError(f"{folder} lacks {', '.join(missing)}, which its {INDEX} names: add it again")
        return [folder / name for name in names]
    single = folder / SINGLE
    return [single] if single.is_file() else sorted(folder.glob("*.safetensors"))


def check_files(folder: Path) -> None:
    """NotFoundError if the folder holds no model, PreconditionError if its weights are quantised already."""
    missing = [need for need in ("config.json", "tokenizer.json") if not (folder / need).is_file()]
    if missing or not weight_files(folder):
        raise NotFoundError(
            f"{folder} is no Hugging Face model folder: it needs config.json, tokenizer.json and *.safetensors"
        )
    check_not_quantised(folder)


def check_not_quantised(folder: Path) -> None:
    """PreconditionError names the base to take instead.

    An adapter belongs to the weights it was trained over. vLLM 0.32 loads no bitsandbytes weights, and PEFT trains over GPTQ and
    AWQ by kernels that are not installed; the unquantised base is served as it is and trained with `--quantization nf4`.
    """
    quantised = read_config(folder).get("quantization_config")
    if quantised is None:
        return
    method = quantised.get("quant_method") or ("bitsandbytes" if "load_in_4bit" in quantised else "an unnamed method")
    original = original_of(folder)
    take = f"take {original}" if original else "take the model that it was made from"
    raise PreconditionError(
        f"{folder} holds weights that are quantised already ({method}), which Burnish neither trains nor serves: {take}. "
        "`burnish train sft --quantization nf4` needs as little memory, and the adapter is served on the full weights"
    )


def original_of(folder: Path) -> str | None:
    """The unquantised model that a quantised one names or is named after; None if that cannot be told."""
    stated = card(folder).get("base_model", "")
    name = stated or str(read_config(folder).get("_name_or_path") or "") or folder.name
    name = QUANTISED_NAME.split(name.rstrip("/"), maxsplit=1)[0]
    is_repository = re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
    return name if is_repository or (name and name != folder.name and "/" not in name) else None


def licence_of(folder: Path) -> str | None:
    """As the model card states it; else the first line of its licence file; None if there is neither."""
    stated = card(folder)
    if licence := stated.get("license_name") or stated.get("license"):
        return licence
    for path in sorted(folder.glob("LICEN[SC]E*")):
        text = path.read_text("utf-8", errors="replace")
        return next((line.strip() for line in text.splitlines() if line.strip()), None)
    return None


def card(folder: Path) -> dict[str, str]:
    """The single-valued fields of README.md's front matter, a list by its first entry. Not a YAML reader: others are left out."""
    path = folder / "README.md"
    found = FRONT_MATTER.match(path.read_text("utf-8", errors="replace")) if path.is_file() else None
    fields: dict[str, str] = {}
    key = ""
    for line in found.group(1).splitlines() if found else []:
        if entry := re.match(r"([\w-]+):\s*(.*)", line):
            key, value = entry[1], entry[2].strip().strip("'\"")
            if value:
                fields[key] = value
        elif (item := re.match(r"\s*-\s+(\S.*)", line)) and key not in fields:
            fields[key] = item[1].strip().strip("'\"")
    return fields
