"""Content digests. Every version in Burnish is one of these, so the same content has the same name everywhere."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from burnish.files import write_atomically

log = logging.getLogger(__name__)

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


REMEMBERED = "burnish-digests.json"  # beside the model: {file name: [size in bytes, time of change in ns, sha256]}
SETTLED_NS = (
    2 * 10**9
)  # a file that changed later than this before it was read may change again within the same time stamp


def model_digest(folder: Path, *, afresh: bool = False) -> str:
    """`sha256:<64 hex>` of a Hugging Face model folder: names and digests of the files that decide its outputs.

    Trainer, inference and set-up all compute it this way; an adapter serves only on the base whose digest it names. afresh: as
    model_file_digests has it.
    """
    digests = model_file_digests(folder, afresh=afresh)
    return "sha256:" + sha256_hex(canonical_json([[name, digest] for name, digest in digests.items()]))


def model_file_digests(folder: Path, *, afresh: bool = False) -> dict[str, str]:
    """File name -> sha256 of the files that decide a model's outputs, in order of their names.

    Digests are kept in REMEMBERED, and taken from there while a file's size and time of change stay the same: 15 GB take most
    of a minute to read. afresh: read every file.
    """
    path = folder / REMEMBERED
    known = {} if afresh else _remembered(path)
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and MODEL_FILES.match(p.name))
    read_at = time.time_ns()
    entries = {name: _entry(folder / name, known.get(name)) for name in names}
    settled = {name: entry for name, entry in entries.items() if entry[1] < read_at - SETTLED_NS}
    if settled != known:
        try:
            write_atomically(path, canonical_json(settled), survives_power_cut=False)
        except OSError as error:
            log.warning(
                "%s cannot be written (%s), so the whole model is read at every attempt: "
                "run `burnish-model record` where the folder is writable",
                path,
                error.strerror,
            )
    return {name: entry[2] for name, entry in entries.items()}


def _entry(path: Path, known: list[Any] | None) -> list[Any]:
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    return known if known is not None and known[:2] == stamp else [*stamp, file_sha256(path)]


def _remembered(path: Path) -> dict[str, list[Any]]:
    """What cannot be read is computed again."""
    try:
        entries = orjson.loads(path.read_bytes())
        return {name: entry for name, entry in entries.items() if len(entry) == 3}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def prompt_key(messages: Iterable[dict[str, Any]]) -> str:
    """Digest of a prompt that ignores case and white space: two prompts with one key are the same question (leak checks)."""
    folded = [[str(m["role"]), " ".join(str(m["content"]).split()).casefold()] for m in messages]
    return sha256_hex(canonical_json(folded))
