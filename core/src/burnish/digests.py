"""Content digests. Every version in Burnish is one of these, so the same content has the same name everywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

VERSION_LENGTH = 16  # hex characters of a sha256 that name a version: 64 bits


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def version_of(*parts: bytes) -> str:
    """First 16 hex characters of the sha256 over the parts, each length-prefixed so that boundaries count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:VERSION_LENGTH]


def dataset_version(train: bytes, validation: bytes, spec: dict[str, Any], split: dict[str, Any]) -> str:
    """Of a dataset's rows, as JSONL, and of the spec and split that its manifest states."""
    return version_of(train, validation, canonical_json([spec, split]))


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


MODEL_FILES = re.compile(
    r"^(config\.json|generation_config\.json|chat_template\.jinja|tokenizer.*\.json|special_tokens_map\.json|.*\.safetensors(\.index\.json)?)$"
)


def model_digest(folder: Path) -> str:
    """`sha256:<64 hex>` of a Hugging Face model folder: names and digests of the files that decide its outputs.

    Trainer, inference and set-up all compute it this way; an adapter serves only on the base whose digest it names.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and MODEL_FILES.match(p.name))
    return "sha256:" + sha256_hex(canonical_json([[name, file_sha256(folder / name)] for name in names]))


def prompt_key(messages: Iterable[dict[str, Any]]) -> str:
    """Digest of a prompt that ignores case and white space: two prompts with one key are the same question (leak checks)."""
    folded = [[str(m["role"]), " ".join(str(m["content"]).split()).casefold()] for m in messages]
    return sha256_hex(canonical_json(folded))
