"""What a job needs and somebody deleted: the error names it and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.trainer.made import put_dataset, sft_rows

from burnish.errors import NotFoundError
from burnish.layout import dataset as dataset_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts import adapters
from burnish_trainer.data.rows import read_manifest, read_records

GONE = r"no dataset colours@[0-9a-f]{16}: .*deleted.* build it again"


def test_a_dataset_that_was_deleted(memory_store: MemoryObjectStore) -> None:
    ref = put_dataset(memory_store, sft_rows(4))
    manifest = read_manifest(memory_store, ref)
    memory_store.delete(dataset_key(ref.name, ref.version))
    with pytest.raises(NotFoundError, match=GONE):
        read_manifest(memory_store, ref)
    memory_store.delete(dataset_key(ref.name, ref.version, "train.jsonl"))
    with pytest.raises(NotFoundError, match=GONE):
        read_records(memory_store, ref, manifest)


def test_an_initial_adapter_that_was_deleted(memory_store: MemoryObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no adapter fix@0123456789abcdef: .*deleted.*initial_adapter"):
        adapters.fetch(memory_store, VersionRef(name="fix", version="0123456789abcdef"), tmp_path)
