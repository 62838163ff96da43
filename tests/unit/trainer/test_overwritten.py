"""Rows or weights that were overwritten together with their manifest are not what their version says, and are refused."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from adapter_making import adapter_files, make_base, make_manifest, publish
from unit.trainer.made import put_dataset

from burnish import layout
from burnish.digests import sha256_hex
from burnish.errors import CorruptDataError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import Message, VersionRef
from burnish.schemas.dataset import SftRow
from burnish_trainer.artifacts import adapters
from burnish_trainer.data.rows import read_manifest, read_records


def row(answer: str) -> SftRow:
    return SftRow(
        question_id="q",
        source="correction",
        prompt=[Message(role="user", content="Which colour?")],
        completion=[Message(role="assistant", content=answer)],
    )


def test_poisoned_rows_with_a_manifest_that_fits_are_refused() -> None:
    store = MemoryObjectStore()
    good = put_dataset(store, [row("blue")])
    poisoned = put_dataset(store, [row("rm -rf /")])
    for file in ("train.jsonl", "validation.jsonl"):
        store.put(
            layout.dataset("colours", good.version, file), store.get(layout.dataset("colours", poisoned.version, file))
        )
    manifest = orjson.loads(store.get(layout.dataset("colours", poisoned.version)))
    store.put(layout.dataset("colours", good.version), orjson.dumps(manifest | {"version": good.version}))
    with pytest.raises(CorruptDataError, match=rf"dataset colours@{good.version}: the stored content is version"):
        read_records(store, good, read_manifest(store, good))
    assert len(read_records(store, poisoned, read_manifest(store, poisoned)).train) == 1


def test_a_version_keeps_although_the_schema_has_grown() -> None:
    """A spec that was written before a field existed has its version by the fields of its own time."""
    store = MemoryObjectStore()
    ref = put_dataset(store, [row("blue")])
    manifest = read_manifest(store, ref)
    assert (
        manifest.spec.model_dump(exclude_unset=True)
        == orjson.loads(store.get(layout.dataset("colours", ref.version)))["spec"]
    )
    assert len(read_records(store, ref, manifest).train) == 1


def test_other_weights_with_a_manifest_that_fits_are_refused(tmp_path: Path) -> None:
    store = MemoryObjectStore()
    base = make_base(tmp_path / "base")
    files = adapter_files(4)
    manifest = publish(store, make_manifest("fix", files, base, 4), files)
    other = adapter_files(4, lora_dropout=0.5)
    for path, data in other.items():
        store.put(layout.adapter("fix", manifest.version, path), data)
    entries = [
        e.model_copy(update={"size_bytes": len(other[e.path]), "sha256": sha256_hex(other[e.path])})
        for e in manifest.files
    ]
    store.put(
        layout.adapter("fix", manifest.version),
        manifest.model_copy(update={"files": entries}).model_dump_json().encode(),
    )
    with pytest.raises(CorruptDataError, match=r"adapter fix@\w+: the stored content is version"):
        adapters.fetch(store, VersionRef(name="fix", version=manifest.version), tmp_path)
