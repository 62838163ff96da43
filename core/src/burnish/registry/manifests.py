"""Reads every manifest of a kind from the object store. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from pydantic import ValidationError

from burnish import layout
from burnish.errors import CorruptDataError, NotFoundError, validation_problems
from burnish.ports import ObjectStore
from burnish.schemas.evaluation import EvalManifest

READERS = 8


def read_documents(store: ObjectStore, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, JSON object) of every manifest below a folder. CorruptDataError for one that is no JSON object."""
    keys = [info.key for info in store.list(folder) if info.key.endswith(f"/{layout.MANIFEST}")]

    def read(key: str) -> tuple[str, dict[str, Any]] | None:
        try:
            document = orjson.loads(store.get(key))
        except NotFoundError:
            return None  # removed since it was listed
        except orjson.JSONDecodeError as error:
            raise CorruptDataError(f"{key} is not JSON ({error}): restore it from a backup", key=key) from error
        if not isinstance(document, dict):
            raise CorruptDataError(f"{key} is no JSON object: restore it from a backup", key=key)
        return key, document

    with ThreadPoolExecutor(READERS) as pool:
        yield from (found for found in pool.map(read, keys) if found is not None)


def read_evals(store: ObjectStore, candidate: str) -> list[EvalManifest]:
    """The stored evals of one candidate. CorruptDataError if one of them cannot be read: it may say stop."""
    found = []
    for key, document in read_documents(store, "evals/"):
        if document.get("candidate_model") == candidate:
            try:
                found.append(EvalManifest.model_validate(document))
            except ValidationError as error:
                raise CorruptDataError(f"{key} cannot be read: {validation_problems(error)}", key=key) from error
    return found
