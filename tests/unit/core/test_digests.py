"""Digests name content: equal content, equal name; any change that matters, another name."""

from __future__ import annotations

from pathlib import Path

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
