"""Reads every manifest of a kind from the object store. Blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from pydantic import ValidationError

from burnish import layout
from burnish.errors import CorruptDataError, validation_problems
from burnish.objectstores.manifests import read_listing
from burnish.ports import ObjectInfo, ObjectStore
from burnish.schemas.base import Listing
from burnish.schemas.evaluation import EvalManifest

Document = tuple[str, dict[str, Any]]


def manifest_keys(store: ObjectStore, folder: str) -> Iterator[str]:
    """Of every manifest below a folder."""
    return (info.key for info in listed_manifests(store, folder))


def listed_manifests(store: ObjectStore, folder: str) -> Iterator[ObjectInfo]:
    """Every manifest below a folder, in ascending order of the keys."""
    return (info for info in store.list(folder) if info.key.endswith(f"/{layout.MANIFEST}"))


def read_object(store: ObjectStore, key: str) -> dict[str, Any]:
    """The JSON object at `key`, whatever its fields. CorruptDataError for one that is none."""
    try:
        document = orjson.loads(store.get(key))
    except orjson.JSONDecodeError as error:
        raise CorruptDataError(f"{key} is not JSON ({error}): restore it from a backup", key=key) from error
    if not isinstance(document, dict):
        raise CorruptDataError(f"{key} is no JSON object: restore it from a backup", key=key)
    return document


def read_evals(store: ObjectStore, candidate: str) -> list[EvalManifest]:
    """The stored evals of one candidate. CorruptDataError if one of them cannot be read: it may say stop."""
    documents: Listing[Document] = read_listing(
        lambda key: (key, read_object(store, key)), manifest_keys(store, "evals/")
    )
    for broken in documents.broken:
        raise CorruptDataError(broken.problem, key=broken.key)
    found = []
    for key, document in documents:
        if document.get("candidate_model") == candidate:
            try:
                found.append(EvalManifest.model_validate(document))
            except ValidationError as error:
                raise CorruptDataError(f"{key} cannot be read: {validation_problems(error)}", key=key) from error
    return found
