"""A cache of folders has a bound: what was used longest ago goes first."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from burnish.files import mark_used, trim


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """a, b and c, of 100 bytes each, used in this order, long ago; and a hidden one."""
    for age, name in enumerate(("c", "b", "a", ".fetch")):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_bytes(b"x" * 100)
        long_ago = time.time() - 10_000 - age
        os.utime(tmp_path / name, (long_ago, long_ago))
    return tmp_path


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".fetch"}


def test_what_was_used_longest_ago_goes_until_the_rest_fits(cache: Path) -> None:
    assert trim(cache, 300) == []
    assert trim(cache, 200) == ["a"]
    mark_used(cache / "b")
    assert trim(cache, 150) == ["c"]
    assert left(cache) == {"b"}
    assert trim(cache, 0) == ["b"]
    assert (cache / ".fetch").exists()


def test_what_is_kept_or_in_use_stays(cache: Path) -> None:
    mark_used(cache / "b")
    assert trim(cache, 0, keep={"a"}, unused_seconds=5_000) == ["c"]
    assert left(cache) == {"a", "b"}


def test_folders_that_somebody_else_removes_meanwhile_are_no_matter(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Path.rglob

    def find_nothing_more(self: Path, pattern: str) -> Iterator[Path]:
        shutil.rmtree(self)
        return find(self, pattern)

    monkeypatch.setattr(Path, "rglob", find_nothing_more)
    assert trim(cache, 0) == []
    assert left(cache) == set()
