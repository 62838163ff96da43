"""Digests name content: equal content, equal name; any change that matters, another name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from burnish import digests


def test_parts_are_bounded() -> None:
    assert digests.version_of(b"ab", b"c") != digests.version_of(b"a", b"bc")
    assert len(digests.version_of(b"")) == digests.VERSION_LENGTH


def test_prompt_key_folds_case_and_white_space_only() -> None:
    one = [{"role": "user", "content": "What  is\nX?"}]
    assert digests.prompt_key(one) == digests.prompt_key([{"role": "user", "content": "what is x?"}])
    assert digests.prompt_key(one) != digests.prompt_key([{"role": "user", "content": "what is y?"}])
    assert digests.prompt_key(one) != digests.prompt_key([{"role": "system", "content": "what is x?"}])


def test_model_digest_counts_what_decides_outputs_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = digests.model_digest(tmp_path)
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "burnish-model.json").write_text("{}")
    assert digests.model_digest(tmp_path) == before
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    assert digests.model_digest(tmp_path) != before


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content was read for a digest."""
    names: list[str] = []
    original = digests.file_sha256
    monkeypatch.setattr(digests, "file_sha256", lambda path: names.append(path.name) or original(path))
    return names


def old_model(folder: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text(name)
        os.utime(folder / name, (1, 1))
    return folder


def test_a_model_is_read_once(tmp_path: Path, read_files: list[str]) -> None:
    first = digests.model_digest(old_model(tmp_path))
    assert sorted(read_files) == ["config.json", "model.safetensors"]
    assert digests.model_digest(tmp_path) == first
    assert len(read_files) == 2, "nothing changed, so nothing is read again"
    assert digests.model_digest(tmp_path, afresh=True) == first
    assert len(read_files) == 4


def test_only_what_changed_is_read_again(tmp_path: Path, read_files: list[str]) -> None:
    first = digests.model_digest(old_model(tmp_path))
    (tmp_path / "config.json").write_text("config.jsoN")  # as long as before
    os.utime(tmp_path / "config.json", (2, 2))
    read_files.clear()
    assert digests.model_digest(tmp_path) != first
    assert read_files == ["config.json"]


def test_a_file_of_this_very_moment_is_not_remembered(tmp_path: Path, read_files: list[str]) -> None:
    (tmp_path / "config.json").write_text("one")
    before = (tmp_path / "config.json").stat()
    first = digests.model_digest(tmp_path)
    (tmp_path / "config.json").write_text("two")
    os.utime(tmp_path / "config.json", ns=(before.st_atime_ns, before.st_mtime_ns))  # within one tick of the clock
    assert digests.model_digest(tmp_path) != first


@pytest.mark.parametrize("content", [b"", b"[]", b'{"config.json": 3}', b'{"config.json": [1, 2]}', b"\xff"])
def test_a_damaged_memory_is_made_again(tmp_path: Path, content: bytes) -> None:
    first = digests.model_digest(old_model(tmp_path))
    (tmp_path / digests.REMEMBERED).write_bytes(content)
    assert digests.model_digest(tmp_path) == first


def test_where_nothing_can_be_written_the_digest_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(digests, "write_atomically", refuse)
    first = digests.model_digest(old_model(tmp_path))
    assert "Read-only file system" in caplog.text
    monkeypatch.undo()
    assert digests.model_digest(tmp_path) == first
