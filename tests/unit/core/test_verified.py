"""What a manifest states is what comes back, or an error says where it differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.digests import sha256_hex
from burnish.errors import CorruptDataError, NotFoundError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.objectstores.verified import fetch_verified, get_verified, is_intact
from burnish.schemas.base import FileEntry

DATA = b"weights"
ENTRY = FileEntry(path="weights.bin", size_bytes=len(DATA), sha256=sha256_hex(DATA))


@pytest.fixture
def store() -> MemoryObjectStore:
    store = MemoryObjectStore()
    store.put("good", DATA)
    store.put("altered", b"Weights")
    return store


def test_whole_objects_come_back(store: MemoryObjectStore, tmp_path: Path) -> None:
    assert get_verified(store, "good", ENTRY) == DATA
    path = fetch_verified(store, "good", ENTRY, tmp_path / "weights.bin")
    assert path.read_bytes() == DATA
    assert is_intact(tmp_path, ENTRY)


@pytest.mark.parametrize(
    ("key", "entry"),
    [("altered", ENTRY), ("good", ENTRY.model_copy(update={"size_bytes": 3}))],
    ids=["other bytes", "other size"],
)
def test_others_are_refused_and_leave_no_file(
    store: MemoryObjectStore, tmp_path: Path, key: str, entry: FileEntry
) -> None:
    with pytest.raises(CorruptDataError, match=f"{key} does not have the size") as raised:
        get_verified(store, key, entry)
    assert raised.value.metadata["key"] == key
    with pytest.raises(CorruptDataError):
        fetch_verified(store, key, entry, tmp_path / "weights.bin")
    assert list(tmp_path.iterdir()) == []


def test_missing_objects_are_not_found(store: MemoryObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        get_verified(store, "none", ENTRY)
    with pytest.raises(NotFoundError):
        fetch_verified(store, "none", ENTRY, tmp_path / "weights.bin")


def test_a_local_file_that_changed_or_went_is_not_intact(tmp_path: Path) -> None:
    assert not is_intact(tmp_path, ENTRY)
    (tmp_path / "weights.bin").write_bytes(b"Weights")
    assert not is_intact(tmp_path, ENTRY)
