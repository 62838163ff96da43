"""Row lengths by the base model's own tokenizer and chat template."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from burnish.curation.lengths import TokenLengths, load_chat_template, summarise, template_environment
from burnish.errors import InvalidInputError, NotFoundError
from burnish.schemas.base import Message


@pytest.fixture(scope="module")
def lengths(base_model_dir: Path) -> TokenLengths:
    template, special_tokens = load_chat_template(base_model_dir)
    encoder = Tokenizer.from_file(str(base_model_dir / "tokenizer.json"))
    return TokenLengths(encoder, template, special_tokens, name="smollm2")


def test_tokens_are_those_of_the_rendered_conversation(lengths: TokenLengths) -> None:
    """Each turn is `<|im_start|>`, its role (`assistant` is two tokens), a newline, the text, `<|im_end|>`, a newline."""
    conversation = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Hi"),
    ]
    assert lengths.measure([conversation]) == [(5 + 3) + (5 + 1) + (6 + 1)]


def test_a_template_that_refuses_is_an_input_error() -> None:
    class NoEncoder:
        def encode_batch_fast(self, input: list[str], *, add_special_tokens: bool) -> list[object]:
            return []

    template = "{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}"
    refusing = TokenLengths(NoEncoder(), template, {}, name="strict")
    with pytest.raises(InvalidInputError, match="strict refuses a conversation of roles system, user: user first"):
        refusing.measure([[Message(role="system", content="x"), Message(role="user", content="y")]])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "<é>"),
        ("{% for m in messages %}{{ m.content }}{% break %}{% endfor %}", "<é>"),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "<é>"}'),
        ("{{ strftime_now('%Y') }}", "2026"),
    ],
)
def test_what_chat_templates_rely_on(template: str, expected: str) -> None:
    messages = [{"role": "user", "content": "<é>"}]
    assert template_environment().from_string(template).render(messages=messages) == expected


def test_a_folder_without_a_template_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"chat_template\.jinja"):
        load_chat_template(tmp_path)


def test_special_tokens_are_read_in_both_spellings(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(
        '{"chat_template": "x", "bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": null}'
    )
    assert load_chat_template(tmp_path) == ("x", {"bos_token": "<s>", "eos_token": "</s>"})


def test_summary() -> None:
    found = summarise(range(1, 101), "tokens", "t")
    assert (found.minimum, found.median, found.p95, found.maximum, found.total) == (1, 50.5, 95, 100, 5050)
